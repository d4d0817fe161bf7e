"""What people and operators do to what is on two live instances; each step says what it did."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from threading import Thread

from panofed.demo import changes
from panofed.demo.geovisio import ADMIN, Instance
from panofed.demo.upload import complete_upload_set, wait_until_idle
from panofed.demo.visitor import anonymous_collections, anonymous_items_of
from tests.soak.steps import step
from tests.soak.town import ACCOUNTS, NothingThere, Street, Town, token_id

_KEYS = ("osm|surface", "osm|highway", "wd|P31")
_VISIBILITIES: tuple[changes.Visibility, ...] = ("owner-only", "logged-only", "anyone")
_SORTS = ("+gpsdate", "-gpsdate", "+filedate", "-filedate", "+filename", "-filename")
_SPLITS = ({"split_distance": 3}, {"split_distance": 20}, {"split_distance": 100_000, "split_time": 1_000_000})


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


@step(3)
def take_tag_away(town: Town) -> str:
    """A tag of a sequence or of a picture goes."""
    street, sequence, picture = town.picture()
    api = street.api
    of_picture = town.dice.random() < 0.5
    path = f"/collections/{sequence}/items/{picture}" if of_picture else f"/collections/{sequence}"
    document = api.get(path)
    tags = (document["properties"] if of_picture else document).get("semantics") or []
    # a picture repeats those of its sequence
    own = [each for each in tags if not (of_picture and "sequence" in str(each.get("inherited_from", "")))]
    if not own:
        raise NothingThere
    tag = town.dice.choice(own)
    if of_picture:
        changes.tag_picture(api, picture, tag["key"], tag["value"], "delete")
    else:
        changes.tag_sequence(api, sequence, tag["key"], tag["value"], "delete")
    return f"{picture if of_picture else sequence} {tag['key']}"


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
    town.deleted.add(picture)
    return picture


@step(3)
def delete_sequence(town: Town) -> str:
    """A sequence goes for good."""
    street, sequence = town.sequence()
    town.deleted |= set(street.pictures(sequence))
    changes.delete_sequence(street.api, sequence)
    if not street.upload_set:
        town.streets.remove(street)
    return sequence


@step(1)
def delete_upload(town: Town) -> str:
    """An upload set goes with all its sequences."""
    street = town.street(upload_set=True)
    town.deleted |= {id for sequence in street.sequences() for id in street.pictures(sequence)}
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
    owner = f"SELECT account_id FROM tokens WHERE id = '{token_id(instance.state.tokens[account])}'"
    name = f"{account} {town.dice.randrange(1_000)}"
    town.sql(instance, f"UPDATE accounts SET name = '{name}' WHERE id = ({owner});")
    town.renamed[instance.config.name] = town.clock(instance)
    return f"{instance.config.name} {account}: {name}"


@step(3)
def commit_slowly(town: Town) -> str:
    """A transaction of two seconds; others finish, and are harvested, meanwhile. Its `updated` is older than theirs."""
    return commit_slowly_at(town, town.dice.choice(town.instances), 2.0)


def commit_slowly_at(town: Town, instance: Instance, lasts_s: float) -> str:
    """The same on this instance, with two sequences that everybody sees."""
    shown = anonymous_collections(instance.url)
    if len(shown) < 2:
        raise NothingThere
    by_title = sorted(shown, key=lambda id: (shown[id].get("title", ""), id))
    sequence, other = town.dice.sample(by_title, 2)
    title = f"Slow {town.dice.randrange(1_000)}"
    slow = Thread(
        target=town.sql,
        args=(
            instance,
            f"BEGIN; UPDATE sequences SET metadata = jsonb_set(metadata, '{{title}}', '\"{title}\"')"
            f" WHERE id = '{sequence}'; SELECT pg_sleep({lasts_s}); COMMIT;",
        ),
    )
    slow.start()
    time.sleep(0.3)
    changes.rename_sequence(instance.api(ADMIN), other, f"Quick {town.dice.randrange(1_000)}")
    slow.join()
    return f"{sequence} {title}, {other} meanwhile"


def last_steps(town: Town) -> str:
    """What no later step can cover up: on each instance a picture is edited, and something commits late."""
    done = 0
    for instance in town.instances:
        with suppress(NothingThere):
            _turn_any(town, instance)
            commit_slowly_at(town, instance, 3.0)
            done += 1
    return f"{done} instances"


def _turn_any(town: Town, instance: Instance) -> None:
    """Another heading for one of the pictures that everybody sees."""
    shown = [item for id in anonymous_collections(instance.url) for item in anonymous_items_of(instance.url, id)]
    if not shown:
        raise NothingThere
    item = town.dice.choice(shown)
    heading = int(item["properties"].get("view:azimuth") or 0)
    changes.turn_picture(instance.api(ADMIN), item["id"], (heading + 1 + town.dice.randrange(300)) % 360)


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
    town.sql(
        instance,
        "BEGIN; SET LOCAL session_replication_role = replica;"
        f"UPDATE pictures SET preparing_status = 'prepared' WHERE id = '{picture}'; COMMIT;",
    )
    town.late[name, picture] = town.clock(instance)
    return picture
