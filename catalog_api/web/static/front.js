// What the front page does around the viewer: a dark map for dark pages, no bar inside of other pages, and a list of the
// sequences of the part of the map that is shown.
(() => {
  "use strict";
  const page = document.documentElement;
  const viewer = document.querySelector("pnx-viewer");
  if (window.self !== window.top) page.classList.add("embedded");
  const { dark } = viewer.dataset;
  if (dark && window.matchMedia("(prefers-color-scheme: dark)").matches) {
    viewer.setAttribute("map-style", dark);
    customElements.whenDefined("pnx-viewer").then(() => viewer.onceMapReady()).then(edge);
  }
  // where many pictures are the dots are dark: a light edge sets them off
  function edge() {
    if (!viewer.map.getLayer("geovisio_grid")) return;
    viewer.map.setPaintProperty("geovisio_grid", "circle-stroke-color", "#ffd8a8");
    viewer.map.setPaintProperty("geovisio_grid", "circle-stroke-width", 1);
  }

  const list = document.querySelector('[data-page="sequences"]');
  const show = () => {
    const bounds = viewer.map?.getBounds?.();
    if (!bounds) return;
    const whole = bounds.getEast() - bounds.getWest() >= 360;
    const turned = (degrees) => ((((degrees + 180) % 360) + 360) % 360) - 180;
    const sides = [turned(bounds.getWest()), bounds.getSouth(), turned(bounds.getEast()), bounds.getNorth()];
    const address = new URL(list.href);
    if (whole) address.searchParams.delete("bbox");
    else address.searchParams.set("bbox", sides.map((side) => side.toFixed(4)).join(","));
    list.href = address;
  };
  for (const moment of ["pointerdown", "focus", "pointerenter"]) list.addEventListener(moment, show);
})();
