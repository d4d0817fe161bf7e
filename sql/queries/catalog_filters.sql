-- Expressions that filters and sorting put into statements: what each queryable is, of a picture (p) or of a sequence (s).
-- They are the only SQL that filters are made of, with the operators in catalog_api/query/filter_operators.py; values are parameters.
-- `test` marks where a comparison stands that is made once for each row of a small table, not for each picture.

-- name: picture_id
p.id

-- name: picture_sequence_id
(SELECT o.id FROM sequences o WHERE o.n = p.sequence)

-- name: picture_sequence_number
p.sequence

-- name: picture_datetime
p.datetime

-- name: picture_created
p.created

-- name: picture_updated
p.updated

-- name: picture_indexed
-- Of its sequence: what `panofed:indexed` of a collection says. So whoever follows the catalog by it reads sequences whole.
(SELECT o.indexed FROM sequences o WHERE o.n = p.sequence)

-- name: picture_azimuth
p.azimuth

-- name: picture_field_of_view
p.field_of_view

-- name: picture_type
CASE WHEN p.is_360 THEN 'equirectangular' ELSE 'flat' END

-- name: picture_accuracy
p.accuracy_m

-- name: picture_pixel_density
p.pixel_density

-- name: picture_original_bytes
p.original_bytes

-- name: picture_rank
p.rank

-- name: picture_geometry
p.geom

-- name: picture_make
(SELECT nullif(c.manufacturer, '') FROM cameras c WHERE c.n = p.camera)

-- name: picture_make_within
CASE WHEN p.camera IN (SELECT c.n FROM cameras c WHERE c.manufacturer <> '')
     THEN p.camera IN (SELECT c.n FROM cameras c WHERE c.manufacturer <> '' AND /* test */) END

-- name: picture_model
(SELECT nullif(c.model, '') FROM cameras c WHERE c.n = p.camera)

-- name: picture_model_within
CASE WHEN p.camera IN (SELECT c.n FROM cameras c WHERE c.model <> '')
     THEN p.camera IN (SELECT c.n FROM cameras c WHERE c.model <> '' AND /* test */) END

-- name: picture_license
(SELECT l.id FROM licenses l WHERE l.n = p.license)

-- name: picture_license_within
CASE WHEN p.license IS NOT NULL THEN p.license IN (SELECT l.n FROM licenses l WHERE /* test */) END

-- name: picture_account_id
(SELECT a.id FROM accounts a WHERE a.n = p.account)

-- name: picture_account_within
CASE WHEN p.account IS NOT NULL THEN p.account IN (SELECT a.n FROM accounts a WHERE /* test */) END

-- name: picture_account_name
(SELECT a.name FROM accounts a WHERE a.n = p.account)

-- name: picture_instance_id
(SELECT i.id FROM instances i WHERE i.n = p.instance)

-- name: picture_instance_name
(SELECT i.name FROM instances i WHERE i.n = p.instance)

-- name: picture_instance_within
p.instance IN (SELECT i.n FROM instances i WHERE /* test */)

-- name: picture_sequence_within
p.sequence IN (SELECT o.n FROM sequences o WHERE /* test */)

-- name: picture_distance
-- Metres from a place, by geodesic.
ST_DistanceSpheroid(p.geom, /* centre */)

-- name: sorted_centre
-- The place in catalog_sorted.
ST_SetSRID(ST_MakePoint($6, $7), 4326)

-- name: ids_centre
-- The place in catalog_by_ids_sorted.
ST_SetSRID(ST_MakePoint($7, $8), 4326)

-- name: picture_tag_within
-- Null without a tag of that key; a key may be there several times.
CASE WHEN p.semantics @> ANY (/* key */)
     THEN EXISTS (SELECT FROM jsonb_to_recordset(p.semantics) AS t (key text, value text)
                  WHERE t.key = /* name */ AND /* test */) END

-- name: picture_tag_missing
(p.semantics @> ANY (/* key */)) IS NOT TRUE

-- name: picture_tagged
-- What the index of tags can find.
p.semantics @> ANY (/* key */)

-- name: picture_looks
-- From this near to this far, and, seen from the picture, within this many degrees of its heading; a 360 picture always
-- looks. Directions are those on the ground: on a plane of degrees they would be wrong everywhere but at the equator.
ST_DistanceSpheroid(p.geom, /* centre */) BETWEEN /* near */ AND /* far */
AND (p.is_360 OR CASE WHEN p.azimuth IS NOT NULL THEN 180 - abs(180 - abs(
    p.azimuth - degrees(coalesce(ST_Azimuth(p.geom::geography, /* centre */::geography), radians(p.azimuth)))
)) <= /* degrees */ ELSE false END)

-- name: picture_words
-- One word of a free text, anywhere.
(p.camera IN (SELECT c.n FROM cameras c WHERE concat_ws(' ', c.manufacturer, c.model) ILIKE /* word */)
 OR p.instance IN (SELECT i.n FROM instances i WHERE i.name ILIKE /* word */)
 OR EXISTS (SELECT FROM accounts a WHERE a.n = p.account AND a.name ILIKE /* word */)
 OR EXISTS (SELECT FROM sequences o WHERE o.n = p.sequence AND o.title ILIKE /* word */)
 OR EXISTS (SELECT FROM jsonb_to_recordset(p.semantics) AS t (key text, value text)
            WHERE t.key ILIKE /* word */ OR t.value ILIKE /* word */))

-- name: sequence_id
s.id

-- name: sequence_title
nullif(s.title, '')

-- name: sequence_license
nullif(s.license, '')

-- name: sequence_created
s.created

-- name: sequence_updated
s.updated

-- name: sequence_indexed
s.indexed

-- name: sequence_pictures
s.pictures

-- name: sequence_length
s.length_m / 1000

-- name: sequence_first
s.datetime_min

-- name: sequence_last
s.datetime_max

-- name: sequence_type
CASE s.pictures_360 WHEN 0 THEN 'flat' WHEN s.pictures THEN 'equirectangular' ELSE 'mixed' END

-- name: sequence_status
CASE s.state WHEN 'removed' THEN 'deleted' ELSE 'ready' END

-- name: sequence_geometry
-- Its box. As what a box of a straight street really is, a line: an area of none meets nothing.
(SELECT ST_Collect(ST_Envelope(part.geom)) FROM ST_Dump(s.extent) part)

-- name: sequence_account_id
(SELECT a.id FROM accounts a WHERE a.n = s.account)

-- name: sequence_account_name
(SELECT a.name FROM accounts a WHERE a.n = s.account)

-- name: sequence_account_within
CASE WHEN s.account IS NOT NULL THEN s.account IN (SELECT a.n FROM accounts a WHERE /* test */) END

-- name: sequence_instance_id
(SELECT i.id FROM instances i WHERE i.n = s.instance)

-- name: sequence_instance_name
(SELECT i.name FROM instances i WHERE i.n = s.instance)

-- name: sequence_instance_within
s.instance IN (SELECT i.n FROM instances i WHERE /* test */)

-- name: sequence_words
(s.title ILIKE /* word */
 OR s.instance IN (SELECT i.n FROM instances i WHERE i.name ILIKE /* word */)
 OR EXISTS (SELECT FROM accounts a WHERE a.n = s.account AND a.name ILIKE /* word */))

-- name: narrow_account
-- Sequences that may hold pictures of an account: its own, and those that name nobody.
(s.account IS NULL OR s.account IN (SELECT a.n FROM accounts a WHERE /* test */))

-- name: narrow_span
-- Sequences with pictures on both sides of, or within, what is asked for.
(s.datetime_max >= /* start */ AND s.datetime_min <= /* end */)

-- name: narrow_360
s.pictures_360 > 0

-- name: narrow_flat
s.pictures_360 < s.pictures

-- name: narrow_extent
s.extent && /* geometry */
