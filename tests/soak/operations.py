"""What people and operators do to two live instances, one random step at a time; each step says what it did."""

from __future__ import annotations

import base64
import json
import random
import time
from collections.abc import Callable
from contextlib import suppress
from threading import Thread
from typing import TypeAlias
from uuid import UUID

from panofed.demo import changes
from panofed.demo.geovisio import ADMIN
from panofed.demo.upload import complete_upload_set, send_pictures, start_upload_set, wait_until_idle
from tests.soak.town import ACCOUNTS, PICTURES_EACH, NothingThere, Street, Town

Step: TypeAlias = Callable[[Town], str]
#: every step with how often it is taken
STEPS: dict[Step, int] = {}
_DRAWS = 5
_KEYS = ("osm|surface", "osm|highway", "wd|P31")
_VISIBILITIES: tuple[changes.Visibility, ...] = ("owner-only", "logged-only", "anyone")
_SORTS = ("+gpsdate", "-gpsdate", "+filedate", "-filedate", "+filename", "-filename")
_SPLITS = ({"split_distance": 3}, {"split_distance": 20}, {"split_distance": 100_000, "split_time": 1_000_000})


def step(weight: int) -> Callable[[Step], Step]:
    """Notes a function as a step taken with this weight."""

    def note(function: Step) -> Step:
        STEPS[function] = weight
        return function

    return note


def take_step(town: Town) -> str:
    """One step, drawn from the dice; NothingThere when the dice gave none that could be done."""
    for _ in range(_DRAWS):
        chosen = town.dice.choices(list(STEPS), list(STEPS.values()))[0]
        with suppress(NothingThere):
            return f"{chosen.__name__}: {chosen(town)}"
    raise NothingThere


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


@step(8)
def edit_picture(town: Town) -> str:
    """Heading, time, place, tag or mark of a picture."""
    street, _, picture = town.picture()
    api, dice = street.api, town.dice
    edit: Callable[[], object] = dice.choice((
        lambda: changes.turn_picture(api, picture, dice.randrange(360)),
        lambda: changes.date_picture(api, picture, f"20{dice.randrange(10, 25)}-0{dice.randrange(1, 9)}-01T10:00:00Z"),
        lambda: changes.place_picture(api, picture, dice.uniform(4.8, 4.9), dice.uniform(45.7, 45.8)),
        lambda: changes.place_picture(api, picture, dice.uniform(-179, 179), dice.uniform(-80, 80)),
        lambda: changes.tag_picture(api, picture, dice.choice(_KEYS), f"v{dice.randrange(1_000)}"),
        lambda: changes.annotate_picture(api, picture, (10, 10, 20 + dice.randrange(60), 50), "osm|amenity", "bench"),
    ))  # fmt: skip
    edit()
    return picture


@step(8)
def edit_sequence(town: Town) -> str:
    """Title, tag, order or headings of a sequence."""
    street, sequence = town.sequence()
    api, dice = street.api, town.dice
    edit: Callable[[], object] = dice.choice((
        lambda: changes.rename_sequence(api, sequence, f"Title {dice.randrange(1_000)}"),
        lambda: changes.tag_sequence(api, sequence, dice.choice(_KEYS), f"v{dice.randrange(1_000)}"),
        lambda: changes.sort_sequence(api, sequence, dice.choice(_SORTS)),
        lambda: changes.turn_sequence(api, sequence, dice.randrange(-180, 180)),
    ))  # fmt: skip
    edit()
    return sequence


@step(2)
def turn_upload(town: Town) -> str:
    """All headings of an upload set, which moves the `updated` of its sequences and of no picture."""
    street = town.street(upload_set=True)
    degrees = town.dice.randrange(-180, 180)
    street.api.call("PATCH", f"/upload_sets/{street.upload_set}", {"relative_heading": degrees})
    complete_upload_set(street.api, street.upload_set)
    return f"{street.upload_set} by {degrees}"


@step(6)
def hide_or_show_picture(town: Town) -> str:
    """Who may see a picture."""
    street, _, picture = town.picture()
    visibility = town.dice.choice(_VISIBILITIES)
    street.secret = street.secret and visibility != "anyone"
    changes.set_picture_visibility(street.api, picture, visibility)
    return f"{picture} {visibility}"


@step(6)
def hide_or_show_sequence(town: Town) -> str:
    """Who may see a sequence."""
    street, sequence = town.sequence()
    visibility = town.dice.choice((*_VISIBILITIES, _VISIBILITIES[-1]))
    street.secret = street.secret and visibility != "anyone"
    changes.set_sequence_visibility(street.api, sequence, visibility)
    return f"{sequence} {visibility}"


@step(3)
def hide_or_show_upload(town: Town) -> str:
    """Who may see an upload set."""
    street = town.street(upload_set=True)
    visibility = town.dice.choice(_VISIBILITIES)
    street.secret = street.secret and visibility != "anyone"
    street.api.call("PATCH", f"/upload_sets/{street.upload_set}", {"visibility": visibility})
    wait_until_idle(street.api)
    return f"{street.upload_set} {visibility}"


@step(5)
def delete_picture(town: Town) -> str:
    """A picture goes for good."""
    street, _, picture = town.picture()
    changes.delete_picture(street.api, picture)
    return picture


@step(3)
def delete_sequence(town: Town) -> str:
    """A sequence goes for good."""
    street, sequence = town.sequence()
    changes.delete_sequence(street.api, sequence)
    if not street.upload_set:
        town.streets.remove(street)
    return sequence


@step(1)
def delete_upload(town: Town) -> str:
    """An upload set goes with all its sequences."""
    street = town.street(upload_set=True)
    changes.delete_upload_set(street.api, street.upload_set)
    town.streets.remove(street)
    return street.upload_set


@step(6)
def share_out_again(town: Town) -> str:
    """Pictures of an upload set change sequence and keep their ids and dates: splits and merges."""
    street = town.street(upload_set=True)
    rules = town.dice.choice(_SPLITS)
    changes.redistribute(street.api, street.upload_set, **rules)
    return f"{street.upload_set} {rules}"


@step(4)
def transfer(town: Town) -> str:
    """A sequence is copied to the other instance with all its ids; half the time it is deleted here then."""
    street, sequence = town.sequence(secret=False)
    target = next(each for each in town.instances if each is not street.instance)
    account = town.dice.choice(ACCOUNTS)
    deleted = town.dice.random() < 0.5
    changes.transfer_sequence(street.instance.url, target.api(account), sequence)
    town.streets.append(Street(instance=target, account=account, files=[], sequence=sequence))
    if deleted:
        changes.delete_sequence(street.api, sequence)
        if not street.upload_set:
            town.streets.remove(street)
    return f"{sequence} to {target.config.name}{', deleted here' if deleted else ''}"


@step(1)
def rename_account(town: Town) -> str:
    """A login server gives an account another name: told by no signal."""
    instance, account = town.dice.choice(town.instances), town.dice.choice(ACCOUNTS)
    town.renamed.add(instance.config.name)
    owner = f"SELECT account_id FROM tokens WHERE id = '{token_id(instance.state.tokens[account])}'"
    name = f"{account} {town.dice.randrange(1_000)}"
    town.sql(instance, f"UPDATE accounts SET name = '{name}' WHERE id = ({owner});")
    return f"{instance.config.name} {account}: {name}"


@step(3)
def commit_slowly(town: Town) -> str:
    """A transaction of two seconds; others finish, and are harvested, meanwhile. Its `updated` is older than theirs."""
    street, sequence = town.sequence()
    _, other = town.sequence(instance=street.instance)
    title = f"Slow {town.dice.randrange(1_000)}"
    slow = Thread(
        target=town.sql,
        args=(
            street.instance,
            f"BEGIN; UPDATE sequences SET metadata = jsonb_set(metadata, '{{title}}', '\"{title}\"')"
            f" WHERE id = '{sequence}'; SELECT pg_sleep(2); COMMIT;",
        ),
    )
    slow.start()
    time.sleep(0.3)
    if other != sequence:
        changes.rename_sequence(street.instance.api(ADMIN), other, "Quick")
    slow.join()
    return f"{sequence} {title}, {other} meanwhile"


@step(2)
def wait_for_processing(town: Town) -> str:
    """A picture of a published sequence is taken back to be processed."""
    # one of an upload set would keep that from ever being ready again
    street, sequence, picture = town.picture(upload_set=False)
    town.sql(
        street.instance,
        f"UPDATE pictures SET preparing_status = 'not-processed' WHERE id = '{picture}';"
        f"UPDATE sequences SET updated_at = now() WHERE id = '{sequence}';",
    )
    town.waiting.append((street.instance.config.name, picture))
    return picture


@step(3)
def finish_processing(town: Town) -> str:
    """It is processed, and appears without any signal."""
    if not town.waiting:
        raise NothingThere
    name, picture = town.waiting.pop(town.dice.randrange(len(town.waiting)))
    instance = next(each for each in town.instances if each.config.name == name)
    town.late.add(picture)
    town.sql(
        instance,
        "BEGIN; SET LOCAL session_replication_role = replica;"
        f"UPDATE pictures SET preparing_status = 'prepared' WHERE id = '{picture}'; COMMIT;",
    )
    return picture


def token_id(token: str) -> str:
    """The id of an API token, which its middle part says."""
    middle = token.split(".")[1]
    return str(json.loads(base64.urlsafe_b64decode(middle + "=" * (-len(middle) % 4)))["sub"])
