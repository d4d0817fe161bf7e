"""What people send to two live instances: pictures of every kind, in the open, in secret, under ids of others."""

from __future__ import annotations

import random
from uuid import UUID

from panofed.demo import changes
from panofed.demo.upload import send_pictures, start_upload_set, wait_until_idle
from tests.soak.steps import step
from tests.soak.town import ACCOUNTS, PICTURES_EACH, NothingThere, Street, Town, token_id


def first_step(town: Town) -> str:
    """One of those that need nothing to be there yet."""
    chosen = town.dice.choice((upload, upload_in_secret, upload_the_old_way))
    return f"{chosen.__name__}: {chosen(town)}"


def _new_street(town: Town) -> Street:
    files = next(town.stock, None)
    if files is None:
        raise NothingThere
    return Street(instance=town.dice.choice(town.instances), account=town.dice.choice(ACCOUNTS), files=list(files))


def _some_id(dice: random.Random) -> str:
    return str(UUID(int=dice.getrandbits(128), version=4))


@step(8)
def upload(town: Town) -> str:
    """An upload set of five pictures; some of the street's stay for later."""
    street = _new_street(town)
    files, street.files = street.files[:PICTURES_EACH], street.files[PICTURES_EACH:]
    street.upload_set = changes.upload_pictures(street.api, files[0].stem, files)
    town.streets.append(street)
    return f"{street.instance.config.name} {street.upload_set}"


@step(2)
def upload_in_secret(town: Town) -> str:
    """An upload set that nobody but its owner may see, from the first moment."""
    street = _new_street(town)
    street.secret = True
    files, street.files = street.files[:3], street.files[3:]
    body = {"title": files[0].stem, "visibility": town.dice.choice(("owner-only", "logged-only"))}
    street.upload_set = str(street.api.call("POST", "/upload_sets", body)["id"])
    changes.add_pictures(street.api, street.upload_set, files)
    town.streets.append(street)
    return f"{street.instance.config.name} {street.upload_set}"


@step(2)
def upload_hidden_by_default(town: Town) -> str:
    """An upload that says nothing of who may see it: its account's, or the whole instance's, default hides it."""
    street = _new_street(town)
    street.secret = True
    files, street.files = street.files[:3], street.files[3:]
    by_instance, hidden = town.dice.random() < 0.5, town.dice.choice(("owner-only", "logged-only"))

    def default(visibility: str) -> None:
        if by_instance:
            town.sql(street.instance, f"UPDATE configurations SET default_visibility = '{visibility}';")
        else:
            owner = f"SELECT account_id FROM tokens WHERE id = '{token_id(street.api.token)}'"
            value = "NULL" if visibility == "anyone" else f"'{visibility}'"
            town.sql(street.instance, f"UPDATE accounts SET default_visibility = {value} WHERE id = ({owner});")

    default(hidden)
    try:
        street.upload_set = changes.upload_pictures(street.api, files[0].stem, files)
    finally:
        default("anyone")
    town.streets.append(street)
    return f"{street.instance.config.name} {street.upload_set} {'instance' if by_instance else 'account'} {hidden}"


@step(3)
def upload_the_old_way(town: Town) -> str:
    """A sequence whose ids the client chooses."""
    street = _new_street(town)
    street.sequence = _some_id(town.dice)
    files, street.files = street.files[:4], street.files[4:]
    pictures = {_some_id(town.dice): file for file in files}
    changes.upload_with_ids(street.api, street.sequence, files[0].stem, pictures)
    town.streets.append(street)
    return f"{street.instance.config.name} {street.sequence}"


@step(2)
def upload_under_known_ids(town: Town) -> str:
    """Anybody sends other pictures to the other instance under ids that are taken."""
    known, sequence = town.sequence(secret=False)
    ids = known.pictures(sequence)
    street = _new_street(town)
    street.instance = next(each for each in town.instances if each is not known.instance)
    held = town.sql(street.instance, "SELECT id FROM pictures UNION ALL SELECT id FROM sequences;")
    ids = [id for id in ids if id not in held]
    if not ids or sequence in held:
        raise NothingThere
    # with an account, as nobody could change an anonymous one's afterwards
    street.sequence = sequence if town.dice.random() < 0.7 else _some_id(town.dice)
    account = town.dice.choice(("", street.account))
    pictures = dict(zip(ids, street.files, strict=False))
    changes.upload_with_ids(street.instance.api(account), street.sequence, "known ids", pictures)
    street.account, street.files = account or "Default account", []
    town.streets.append(street)
    return f"{street.instance.config.name} {street.sequence}: {len(pictures)}"


@step(4)
def add_pictures(town: Town) -> str:
    """More pictures for an upload set that was shared out already, or a sequence made the old way."""
    street = town.street(files=True)
    files, street.files = street.files[:2], street.files[2:]
    if street.upload_set:
        changes.add_pictures(street.api, street.upload_set, files)
        return street.upload_set
    for position, file in enumerate(files, start=100 + town.dice.randrange(1_000)):
        fields = {"position": str(position), "isBlurred": "true"}
        street.api.upload(f"/collections/{street.sequence}/items", "picture", file, fields)
    wait_until_idle(street.api)
    return street.sequence


@step(2)
def leave_unfinished(town: Town) -> str:
    """A sequence without pictures, or an upload set that is never completed."""
    street = _new_street(town)
    if town.dice.random() < 0.5:
        return changes.open_empty_sequence(street.api, "never to come")
    unfinished = start_upload_set(street.api, "never completed")
    send_pictures(street.api, unfinished, street.files[:2])
    return unfinished
