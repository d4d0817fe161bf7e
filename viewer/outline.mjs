// Countries of the world as one small GeoJSON: the map behind the pictures where no other one is set.
//
// Source: Natural Earth 1:50m, public domain, in the topology of the package world-atlas. The arcs that neighbours share
// are simplified (Douglas and Peucker), so that borders still meet; islands smaller than that go.

/** A pixel at zoom 4, five at zoom 6. */
const TOLERANCE_DEG = 0.05;

/** Topology to features: `land` (polygons), `border` (lines between two countries), `country` (a point and a name). */
export function outline(topology) {
  const arcs = thinned(topology);
  const { countries, land } = topology.objects;
  const feature = (kind, geometry, more = {}) => ({ type: "Feature", properties: { kind, ...more }, geometry });
  const shared = sharedArcs(countries.geometries).map((number) => arcs[number]).filter((line) => line.length > 1);
  return {
    type: "FeatureCollection",
    features: [
      feature("land", { type: "MultiPolygon", coordinates: land.geometries.flatMap((each) => polygons(each, arcs)) }),
      feature("border", { type: "MultiLineString", coordinates: shared }),
      ...countries.geometries.map((each) => named(each, arcs, feature)).filter(Boolean),
    ],
  };
}

function thinned({ arcs, transform: { scale, translate } }) {
  return arcs.map((arc) => {
    let [x, y] = [0, 0];
    const points = arc.map(([dx, dy]) => {
      [x, y] = [x + dx, y + dy];
      return [x * scale[0] + translate[0], y * scale[1] + translate[1]];
    });
    return simplified(continued(points)).map((point) => point.map((value) => Number(value.toFixed(2))));
  });
}

/** Countries go on across 180 degrees here: a line that would jump around the globe goes on beyond it. */
function continued(points) {
  let turned = 0;
  return points.map(([x, y], at) => {
    const before = at ? points[at - 1][0] : x;
    if (Math.abs(x - before) > 180) turned += x < before ? 360 : -360;
    return [x + turned, y];
  });
}

/** The ends, and what lies further than the tolerance from the line between those that are kept. */
function simplified(points) {
  const kept = new Set([0, points.length - 1]);
  const open = [[0, points.length - 1]];
  while (open.length) {
    const [from, to] = open.pop();
    let [far, farthest] = [0, TOLERANCE_DEG];
    for (let at = from + 1; at < to; at++) {
      const away = distance(points[at], points[from], points[to]);
      if (away > farthest) [far, farthest] = [at, away];
    }
    if (!far) continue;
    kept.add(far);
    open.push([from, far], [far, to]);
  }
  return points.filter((_, at) => kept.has(at));
}

/** Of a point from the line between two others, in degrees; from the first where both are one, as in a ring. */
function distance([x, y], [ax, ay], [bx, by]) {
  const length = Math.hypot(bx - ax, by - ay);
  if (length === 0) return Math.hypot(x - ax, y - ay);
  return Math.abs((bx - ax) * (ay - y) - (ax - x) * (by - ay)) / length;
}

/** A negative number is an arc walked backwards. */
function ring(numbers, arcs) {
  const points = [];
  for (const number of numbers) {
    const walked = number < 0 ? arcs[~number].slice().reverse() : arcs[number];
    points.push(...(points.length ? walked.slice(1) : walked));
  }
  const whole = continued(points);
  const [first, last] = [whole[0], whole.at(-1)];
  // around the pole: closed along it
  if (Math.abs(first[0] - last[0]) > 180) whole.push([last[0], -90], [first[0], -90], first);
  return whole;
}

function polygons({ type, arcs: numbers }, arcs) {
  const all = type === "Polygon" ? [numbers] : (numbers ?? []);
  return all
    .map((each) => each.map((one) => ring(one, arcs)).filter((points) => points.length > 3))
    .filter((each) => each.length > 0);
}

function sharedArcs(geometries) {
  const uses = new Map();
  for (const { arcs } of geometries)
    for (const number of new Set((arcs ?? []).flat(3).map((each) => (each < 0 ? ~each : each))))
      uses.set(number, (uses.get(number) ?? 0) + 1);
  return [...uses].filter(([, count]) => count > 1).map(([number]) => number);
}

/** The middle of the box of a country's largest part, where a search for its name leads. */
function named(country, arcs, feature) {
  const boxes = polygons(country, arcs).map(([points]) => {
    const [xs, ys] = [points.map((each) => each[0]), points.map((each) => each[1])];
    return { west: Math.min(...xs), east: Math.max(...xs), south: Math.min(...ys), north: Math.max(...ys) };
  });
  if (boxes.length === 0) return null;
  const size = (box) => (box.east - box.west) * (box.north - box.south);
  const { west, east, south, north } = boxes.reduce((best, box) => (size(box) > size(best) ? box : best));
  const middle = [(west + east) / 2, (south + north) / 2].map((each) => Number(each.toFixed(2)));
  return feature("country", { type: "Point", coordinates: middle }, { name: country.properties.name });
}
