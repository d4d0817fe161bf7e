// Tells a running JOSM to load the place of the picture, without leaving the page, and says whether it answered.
(() => {
  "use strict";
  const button = document.querySelector("[data-josm]");
  const said = document.getElementById("josm");
  button.addEventListener("click", async (event) => {
    event.preventDefault();
    try {
      await fetch(button.href, { mode: "no-cors" });
      said.textContent = button.dataset.sent;
    } catch {
      said.textContent = button.dataset.silent;
    }
  });
})();
