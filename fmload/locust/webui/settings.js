// What the start form does not set, shown below it: command line and environment alone decide it.
(() => {
  "use strict";
  const BOX = "fmload-settings";
  const DATA = new URL("settings.json", document.currentScript.src);
  let settings = [];

  function place() {
    const form = document.querySelector("#root form");
    if (!form || !settings.length || document.getElementById(BOX)) return;
    const box = document.createElement("dl");
    box.id = BOX;
    box.style.cssText = "font-size:13px;opacity:.8;margin:12px 0";
    box.title = "Set on the command line or by the environment alone";
    for (const { name, value } of settings) {
      box.appendChild(document.createElement("dt")).textContent = name;
      box.appendChild(document.createElement("dd")).textContent = value;
    }
    form.appendChild(box);
  }

  fetch(DATA).then((answer) => answer.ok ? answer.json() : { settings: [] }).then((found) => {
    settings = found.settings;
    place();
  });
  new MutationObserver(place).observe(document.documentElement, { childList: true, subtree: true });
})();
