// Loaded before the viewer: answers in the page what the viewer would ask of hosts that are written into it. The page's
// Content-Security-Policy refuses them too; without this the viewer would report that as errors.
(() => {
  "use strict";
  const { silenced, countries } = document.currentScript.dataset;
  const SILENCED = JSON.parse(silenced);
  const ADDRESSES = "https://nominatim.openstreetmap.org/reverse";
  const PLACES = "https://nominatim.openstreetmap.org/search";
  const OTHER_CATALOG = "https://explore.panoramax.fr/";
  const FOUND_MAX = 5;

  const json = (value) =>
    new Response(JSON.stringify(value), { status: 200, headers: { "content-type": "application/json" } });

  // a drawing of one clear pixel where an image is asked for: the symbols of the map
  const CLEAR = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAAC0lEQVR42mNgAAIAAAUAAen63NgAAAAASUVORK5CYII=";
  const image = () => new Response(Uint8Array.from(atob(CLEAR), (each) => each.charCodeAt(0)), { status: 200 });
  const nothing = (address) => {
    if (address.startsWith(ADDRESSES)) return json(coordinates(new URL(address).searchParams));
    return /\.png(\?|$)/.test(address) ? image() : json({});
  };

  // in the place of an address: the viewer waits for one
  const coordinates = (asked) => {
    const name = ["lat", "lon"].map((axis) => Number(asked.get(axis)).toFixed(5)).join(", ");
    return { features: [{ properties: { geocoding: { type: "country", name } } }] };
  };

  const fetchOutside = window.fetch.bind(window);
  window.fetch = (asked, options) => {
    const address = String(asked?.url ?? asked);
    if (countries && address.startsWith(PLACES)) return findCountries(new URL(address).searchParams.get("q") ?? "");
    if (SILENCED.some((beginning) => address.startsWith(beginning))) return Promise.resolve(nothing(address));
    return fetchOutside(asked, options);
  };

  // where no geocoder is set: the names of countries, from the outline that the map is drawn with
  let known;
  async function findCountries(words) {
    known ??= fetchOutside(countries).then((answer) => answer.json());
    const { features } = await known;
    const sought = plain(words);
    const named = features.filter(({ properties }) => properties.kind === "country");
    const found = named.filter(({ properties }) => plain(properties.name).includes(sought)).slice(0, FOUND_MAX);
    return json({
      features: found.map(({ geometry, properties: { name } }) => ({
        geometry,
        properties: { geocoding: { type: "country", name, label: name } },
      })),
    });
  }

  const plain = (text) => text.normalize("NFD").replace(/\p{M}/gu, "").trim().toLowerCase();

  // logos of instances and links to pictures: those of this catalog, not of another one
  const setAttribute = Element.prototype.setAttribute;
  Element.prototype.setAttribute = function (name, value) {
    const elsewhere = typeof value === "string" && value.startsWith(OTHER_CATALOG);
    setAttribute.call(this, name, elsewhere ? `/${value.slice(OTHER_CATALOG.length)}` : value);
  };
})();
