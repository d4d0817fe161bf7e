"""What is written into the demonstration's pictures."""

from __future__ import annotations

from dataclasses import replace
from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from panofed.demo import exif
from panofed.demo.datasets import PARIS_RIVOLI
from panofed.demo.exif import degrees_minutes_seconds, gps_tags, image_tags, panorama_xmp, photo_tags
from panofed.demo.walk import shots


@given(st.floats(-180, 180))
def test_degrees_survive_rationals_to_a_millimetre(degrees: float) -> None:
    whole, minutes, seconds = degrees_minutes_seconds(degrees)
    assert 0 <= minutes[0] < 60 and 0 <= seconds[0] < 60 * seconds[1]
    back = whole[0] / whole[1] + minutes[0] / minutes[1] / 60 + seconds[0] / seconds[1] / 3_600
    assert abs(back - abs(degrees)) < 1e-8


def test_camera_writes_its_local_time() -> None:
    first = next(shots(PARIS_RIVOLI))
    tags = photo_tags(PARIS_RIVOLI, first)
    assert tags[exif.DATE_ORIGINAL] == "2024:05:02 09:10:00"
    assert tags[exif.OFFSET_ORIGINAL] == "+02:00"
    assert gps_tags(PARIS_RIVOLI, first)[exif.GPS_TIME] == [(7, 1), (10, 1), (0, 1_000)]


def test_fraction_of_a_second_differs_between_pictures() -> None:
    fractions = [photo_tags(PARIS_RIVOLI, shot)[exif.SUBSEC_ORIGINAL] for shot in shots(PARIS_RIVOLI)]
    assert fractions[:3] == ["000", "137", "274"]


def test_hemispheres_are_letters_not_signs() -> None:
    spec = replace(PARIS_RIVOLI, lat=-16.5, lon=-179.9)
    tags = gps_tags(spec, next(shots(spec)))
    assert (tags[exif.LAT_REF], tags[exif.LON_REF]) == ("S", "W")
    assert tags[exif.LAT] == [(16, 1), (30, 1), (0, 100_000)]


def test_direction_is_absent_when_the_camera_had_no_compass() -> None:
    blind = replace(PARIS_RIVOLI, with_heading=False)
    assert exif.DIRECTION not in gps_tags(blind, next(shots(blind)))
    assert exif.DIRECTION in gps_tags(PARIS_RIVOLI, next(shots(PARIS_RIVOLI)))


def test_artist_is_written_only_if_there_is_one() -> None:
    assert exif.ARTIST not in image_tags(PARIS_RIVOLI)
    assert image_tags(replace(PARIS_RIVOLI, artist="Ada"))[exif.ARTIST] == "Ada"


def test_panorama_packet_is_xml_and_names_a_whole_sphere() -> None:
    packet = ElementTree.fromstring(panorama_xmp(1024, 512, 293.04))
    (description,) = packet.iter("{http://www.w3.org/1999/02/22-rdf-syntax-ns#}Description")
    found = {name.rsplit("}", 1)[1]: value for name, value in description.attrib.items()}
    assert found["ProjectionType"] == "equirectangular"
    assert (found["FullPanoWidthPixels"], found["PoseHeadingDegrees"]) == ("1024", "293.0")
