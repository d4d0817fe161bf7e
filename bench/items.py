"""Generated pictures as the JSON an instance really answers (GeoVisio 2.15.1): items and collections, keys sorted."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from bench.pictures import SequencePictures
from bench.plan import SequencePlan
from bench.sequences import semantics_of, to_json
from bench.texts import PictureTexts, iso_text, texts_of
from bench.world import INSTANCES, LICENSE_URLS, Camera

VIEW = '"https://stac-extensions.github.io/view/v1.0.0/schema.json"'
PERSPECTIVE = '"https://stac-extensions.github.io/perspective-imagery/v1.0.0/schema.json"'
TILED = '"https://stac-extensions.github.io/tiled-assets/v1.0.0/schema.json"'


@dataclass(frozen=True, slots=True)
class RenderedItem:
    """An item's JSON; its bytes [cut_from, cut_to) are the `prev` link, left out when it opens a page."""

    body: bytes
    cut_from: int
    cut_to: int


@dataclass(frozen=True, slots=True)
class Revision:
    """A later state of a sequence: these ranks changed at this time, those ranks are hidden from everybody."""

    number: int = 0
    updated_us: int = 0
    changed: Collection[int] = ()
    hidden: Collection[int] = ()


ORIGINAL = Revision()


def _json(value: object) -> str:
    return to_json(value).decode()


def _picture_semantics(picture_id: str) -> str:
    """About one picture in 32 carries a tag."""
    if picture_id[0] != "7" or picture_id[1] > "7":
        return "[]"
    value = ("stop", "yield", "FR:B1", "maxspeed")[int(picture_id[2], 16) % 4]
    return f'[{{"key":"osm|traffic_sign","value":"{value}"}}]'


def _annotations(picture_id: str) -> str:
    """About one picture in 64 carries an annotation drawn on it, in pixels."""
    if picture_id[0] != "a" or picture_id[1] > "3":
        return "[]"
    x, y = int(picture_id[2:5], 16) % 3000, int(picture_id[5:8], 16) % 1500
    ring = [[x, y], [x + 100, y], [x + 100, y + 80], [x, y + 80], [x, y]]
    note = {
        "id": picture_id[:14] + "4" + picture_id[15:-2] + "00",
        "semantics": [
            {"key": "detection_model[osm|amenity=bench]", "value": "SGBlur-yolo11n/0.1.0"},
            {"key": "osm|amenity", "value": "bench"},
        ],
        "shape": {"coordinates": [ring], "type": "Polygon"},
    }
    return _json([note])


def _exif_pano(camera: Camera) -> str:
    if not camera.panoramic:
        return ""
    size = {
        "CroppedAreaImageHeightPixels": camera.height,
        "CroppedAreaImageWidthPixels": camera.width,
        "CroppedAreaLeftPixels": 0,
        "CroppedAreaTopPixels": 0,
        "FullPanoHeightPixels": camera.height,
        "FullPanoWidthPixels": camera.width,
    }
    keys = "".join(f',"Xmp.GPano.{key}":"{value}"' for key, value in size.items())
    return keys + ',"Xmp.GPano.ProjectionType":"equirectangular","Xmp.GPano.UsePanoramaViewer":"True"'


def _camera_json(camera: Camera) -> str:
    orientation: dict[str, object] = {
        "camera_manufacturer": camera.make,
        "camera_model": camera.model,
        "focal_length": camera.focal_mm,
        "sensor_array_dimensions": [camera.width, camera.height],
        "field_of_view": camera.field_of_view,
    }
    density = camera.width // camera.field_of_view
    return f'"panoramax:horizontal_pixel_density":{density},"pers:interior_orientation":{_json(orientation)},'


def _license(plan: SequencePlan) -> tuple[str, str]:
    """The license's name, and the link to its text."""
    name = INSTANCES[plan.instance].license
    return name, f'{{"href":"{LICENSE_URLS[name]}","rel":"license","title":"License for this object ({name})"}}'


def _exif_texts(pictures: SequencePictures, texts: PictureTexts) -> list[str]:
    """The EXIF of every picture: 42 keys, of a 360 degrees camera 50."""
    plan, camera = pictures.plan, pictures.plan.camera
    image = (
        f'","Exif.Image.ExifTag":"{226 + len(camera.model)}","Exif.Image.GPSTag":"{9_000 + plan.camera_number}",'
        f'"Exif.Image.Make":"{camera.make}","Exif.Image.Model":"{camera.model}","Exif.Image.Orientation":"1",'
        f'"Exif.Image.Software":"{camera.software}","Exif.Image.XResolution":"72/1",'
        f'"Exif.Photo.ApertureValue":"{camera.f_number * 9}/100",'
        f'"Exif.Photo.BodySerialNumber":"{plan.serial}","Exif.Photo.BrightnessValue":"'
    )
    exposure_head = (
        '","Exif.Photo.ExifVersion":"48 50 51 50","Exif.Photo.ExposureBiasValue":"0/1","Exif.Photo.ExposureTime":"1/'
    )
    exposure_tail = (
        f'","Exif.Photo.FNumber":"{camera.f_number}/10",'
        f'"Exif.Photo.FocalLength":"{round(camera.focal_mm * 100)}/100","Exif.Photo.ISOSpeedRatings":"'
    )
    after_note = (
        f'","Exif.Photo.MeteringMode":"2","Exif.Photo.OffsetTimeOriginal":"{texts.offset}",'
        f'"Exif.Photo.PixelXDimension":"{camera.width}","Exif.Photo.PixelYDimension":"{camera.height}",'
        '"Exif.Photo.ShutterSpeedValue":"'
    )
    tail = ',"Exif.Photo.WhiteBalance":"0"' + _exif_pano(camera) + "},"
    return [
        f'"exif":{{"Exif.GPSInfo.GPSAltitude":"{altitude}/100","Exif.GPSInfo.GPSAltitudeRef":"0",'
        f'"Exif.GPSInfo.GPSDOP":"{dilution}/100","Exif.GPSInfo.GPSDateStamp":"{utc[:4]}:{utc[5:7]}:{utc[8:10]}",'
        f'"Exif.GPSInfo.GPSHPositioningError":"{pictures.accuracy_cm}/100",'
        f'"Exif.GPSInfo.GPSImgDirection":"{direction}/100","Exif.GPSInfo.GPSImgDirectionRef":"T",'
        f'"Exif.GPSInfo.GPSLatitude":"{latitude}","Exif.GPSInfo.GPSLatitudeRef":"{"N" if lat >= 0 else "S"}",'
        f'"Exif.GPSInfo.GPSLongitude":"{longitude}","Exif.GPSInfo.GPSLongitudeRef":"{"E" if lon >= 0 else "W"}",'
        f'"Exif.GPSInfo.GPSSpeed":"{speed}/1000","Exif.GPSInfo.GPSSpeedRef":"K",'
        f'"Exif.GPSInfo.GPSTimeStamp":"{int(utc[11:13])}/1 {int(utc[14:16])}/1 {clock}/1000",'
        f'"Exif.GPSInfo.GPSVersionID":"2 3 0 0","Exif.Image.DateTime":"{day}{image}{brightness}/100",'
        f'"Exif.Photo.DateTimeOriginal":"{day}{exposure_head}{exposure}{exposure_tail}{iso}",'
        f'"Exif.Photo.MakerNote":"{note}{after_note}{shutter}/1000"{sub_second}{tail}'
        for altitude, dilution, direction, lat, lon, speed, brightness, exposure, iso, clock, utc, day, latitude,
        longitude, note, shutter, sub_second in zip(
            pictures.altitude_cm.tolist(), pictures.dilution.tolist(), pictures.direction.tolist(),
            pictures.lat.tolist(), pictures.lon.tolist(), pictures.speed_mm_s.tolist(), pictures.brightness.tolist(),
            pictures.exposure.tolist(), pictures.iso.tolist(), (pictures.taken_ms % 60_000).tolist(), texts.taken,
            texts.day, texts.latitude, texts.longitude, texts.maker_notes, texts.shutter, texts.sub_second, strict=True,
        )
    ]  # fmt: skip


def _image_bases(pictures: SequencePictures, base: str) -> tuple[list[str], list[str]]:
    """Per picture, the address of its best image, and the beginning of the addresses of the smaller ones."""
    storage = INSTANCES[pictures.plan.instance].storage
    if not storage:
        through_api = [f"{base}/api/pictures/{picture_id}" for picture_id in pictures.ids]
        return [f"{address}/hd.jpg" for address in through_api], through_api
    paths = [f"{i[:2]}/{i[2:4]}/{i[4:6]}/{i[6:8]}/{i[9:]}" for i in pictures.ids]
    return [f"{storage}/main/{path}.jpg" for path in paths], [f"{storage}/derivates/{path}" for path in paths]


def _heads(pictures: SequencePictures, texts: PictureTexts, base: str) -> tuple[list[str], list[str], list[str]]:
    """Per picture: everything up to the `next` link, its `next` link, its `prev` link."""
    plan = pictures.plan
    collection = f"{base}/api/collections/{plan.id}"
    pano, stored = plan.camera.panoramic, bool(INSTANCES[plan.instance].storage)
    tiles = "tiles" if stored else "tiled"
    before_self = (
        f'"links":[{{"href":"{base}/api/","rel":"root","title":"Instance catalog","type":"application/json"}},'
        f'{{"href":"{collection}","rel":"parent","type":"application/json"}},{{"href":"{collection}/items/'
    )
    after_self = (
        f'","rel":"self","type":"application/geo+json"}},'
        f'{{"href":"{collection}","rel":"collection","type":"application/json"}},{_license(plan)[1]}'
    )
    heads = [
        (
            '{"asset_templates":{"tiles":{"description":"Highest resolution available of this picture, as tiles",'
            f'"href":"{derived}/{tiles}/{{TileCol}}_{{TileRow}}.jpg","roles":["data"],"title":"HD tiled picture",'
            '"type":"image/jpeg"}},'
            if pano
            else "{"
        )
        + '"assets":{"hd":{"description":"Highest resolution available of this picture",'
        f'"href":"{best}","roles":["data"],"title":"HD picture","type":"image/jpeg"}},'
        '"sd":{"description":"Picture in standard definition (fixed width of 2048px)",'
        f'"href":"{derived}/sd.jpg","roles":["visual"],"title":"SD picture","type":"image/jpeg"}},'
        '"thumb":{"description":"Picture in low definition (fixed width of 500px)",'
        f'"href":"{derived}/thumb.jpg","roles":["thumbnail"],"title":"Thumbnail","type":"image/jpeg"}}}},'
        f'"bbox":[{point},{point}],"collection":"{plan.id}",'
        f'"geometry":{{"coordinates":[{point}],"type":"Point"}},"id":"{picture_id}",{before_self}{picture_id}{after_self}'
        for picture_id, point, best, derived in zip(
            pictures.ids, texts.points, *_image_bases(pictures, base), strict=True
        )
    ]
    neighbours = [
        f',{{"geometry":{{"coordinates":[{point}],"type":"Point"}},"href":"{collection}/items/{picture_id}",'
        f'"id":"{picture_id}","rel":"'
        for picture_id, point in zip(pictures.ids, texts.points, strict=True)
    ]
    following = [f'{text}next","type":"application/geo+json"}}' for text in neighbours[1:]]
    previous = [f'{text}prev","type":"application/geo+json"}}' for text in neighbours[:-1]]
    return heads, [*following, ""], ["", *previous]


def _tile_matrix(picture_id: str, camera: Camera) -> str:
    """The tile matrix of a 360 degrees picture, with its comma; nothing for a flat one."""
    if not camera.panoramic:
        return ""
    rows = camera.tiles // 2
    return (
        f'"tiles:tile_matrix_sets":{{"geovisio":{{"identifier":"geovisio-{picture_id}","tileMatrix":[{{"identifier":"0",'
        f'"matrixHeight":{rows},"matrixWidth":{camera.tiles},"scaleDenominator":1,"tileHeight":{camera.height / rows},'
        f'"tileWidth":{camera.width / camera.tiles},"topLeftCorner":[0,0],"type":"TileMatrixType"}}],'
        f'"title":"GeoVisio tile matrix for picture {picture_id}","type":"TileMatrixSetType"}}}},'
    )


def _tails(pictures: SequencePictures, texts: PictureTexts, base: str, revision: Revision) -> list[str]:
    """Per picture: everything after the links."""
    plan, camera = pictures.plan, pictures.plan.camera
    accuracy = pictures.accuracy_cm / 100
    semantics = _json(semantics_of(plan.number))
    producer, license_name = _json(plan.account), _license(plan)[0]
    stem = ("GSAA", "G001", "IMG_", "R001")[plan.number % 4]
    extensions = f"{VIEW},{PERSPECTIVE},{TILED}" if camera.panoramic else f"{VIEW},{PERSPECTIVE}"
    end = (
        f'}},"providers":{_providers(plan)},"stac_extensions":[{extensions}],"stac_version":"1.0.0","type":"Feature"}}'
    )
    orientation = _camera_json(camera)
    changed_at = iso_text(revision.updated_us)
    turn = 700 * revision.number
    return [
        f'],"properties":{{"annotations":{_annotations(picture_id)},"collection":{{"semantics":{semantics}}},'
        f'"created":"{created}","datetime":"{taken}","datetimetz":"{local}",{exif}"geovisio:image":"{best}",'
        f'"geovisio:producer":{producer},"geovisio:rank_in_collection":{rank},"geovisio:status":"ready",'
        f'"geovisio:thumbnail":"{derived}/thumb.jpg","geovisio:visibility":"anyone","license":"{license_name}",'
        f'"original_file:name":"{stem}{rank:04d}.JPG","original_file:size":{size},{orientation}'
        + (f'"pers:pitch":0.0,"pers:roll":0.0,"pers:yaw":{direction / 100},' if camera.panoramic else "")
        + f'"quality:horizontal_accuracy":{accuracy},"semantics":{_picture_semantics(picture_id)},'
        f'{_tile_matrix(picture_id, camera)}"updated":"{changed_at if rank in revision.changed else created}",'
        f'"view:azimuth":{round((direction + turn * (rank in revision.changed)) / 100) % 360}{end}'
        for rank, picture_id, created, taken, local, exif, size, direction, best, derived in zip(
            range(1, plan.count + 1), pictures.ids, texts.created, texts.taken, texts.taken_local,
            _exif_texts(pictures, texts), pictures.bytes.tolist(), pictures.direction.tolist(),
            *_image_bases(pictures, base), strict=True,
        )
    ]  # fmt: skip


def _providers(plan: SequencePlan) -> str:
    """The account; one sequence in ten names an artist too."""
    providers: list[dict[str, object]] = [{"id": plan.account_id, "name": plan.account, "roles": ["producer"]}]
    if plan.number % 10 == 7:
        providers.append({"name": plan.account.title(), "roles": ["producer"]})
    return _json(providers)


def render_items(pictures: SequencePictures, base: str, revision: Revision = ORIGINAL) -> Iterator[RenderedItem]:
    """The items of a sequence in rank order, as the instance at `base` (no trailing slash) answers them."""
    texts = texts_of(pictures)
    parts = zip(*_heads(pictures, texts, base), _tails(pictures, texts, base, revision), strict=True)
    for rank, (head, following, previous, tail) in enumerate(parts, 1):
        if rank not in revision.hidden:
            cut = len(head) + len(following)
            yield RenderedItem((head + following + previous + tail).encode(), cut, cut + len(previous))
