// The start form in the order in which people need its fields: endpoint, model, prompts, load. Labels are short, the help
// stands below its field, and a button tries the endpoint. Nothing of the page is taken out: should a name in Locust's
// page change, its own form stands there as it was.
(() => {
  "use strict";
  const TRY = new URL("try", document.currentScript.src);
  const OWN = {
    host: ["Endpoint", "Base URL of the server, such as http://10.0.0.5:8000/v1", -9],
    user_count: ["Users at the same time", "Used where no sweep (Concurrency) is given", -6],
    spawn_rate: ["Users started a second", "", -5],
  };
  const NAMES = { userCount: "user_count", spawnRate: "spawn_rate" };

  const fieldsOf = (form) => [...form.querySelectorAll("input[name], select[name]")];

  function rename(input, label, help) {
    const root = input.closest(".MuiFormControl-root");
    const shown = root && root.querySelector("label");
    if (!shown || root.dataset.fmload) return;
    root.dataset.fmload = "done";
    if (shown.firstChild && shown.firstChild.nodeType === Node.TEXT_NODE) shown.firstChild.nodeValue = label;
    const notch = root.querySelector("legend span");
    if (notch && notch.firstChild) notch.firstChild.nodeValue = label;
    input.setAttribute("aria-label", label);
    if (!help) return;
    const note = document.createElement("p");
    note.id = `fmload-help-${input.name}`;
    note.style.cssText = "font-size:12.5px;opacity:.75;margin:4px 2px 0";
    note.textContent = help;
    input.setAttribute("aria-describedby", note.id);
    root.appendChild(note);
  }

  function words(name, label) {
    const found = /^[^(]*\((.*)\)$/s.exec(label);
    const plain = name.replace(/^fmload_?/i, "").replace(/_/g, " ").replace(/([a-z])([A-Z])/g, "$1 $2").toLowerCase();
    return [plain.charAt(0).toUpperCase() + plain.slice(1), found ? found[1] : ""];
  }

  function arrange(form) {
    const column = form.firstElementChild;
    for (const input of fieldsOf(form)) {
      const own = OWN[NAMES[input.name] || input.name];
      const label = input.closest(".MuiFormControl-root")?.querySelector("label");
      if (own) {
        rename(input, own[0], own[1]);
        const item = [...column.children].find((child) => child.contains(input));
        if (item) item.style.order = own[2];
      } else if (label && /^fmload/i.test(input.name)) {
        rename(input, ...words(input.name, label.firstChild.nodeValue));
      }
    }
    const settings = document.getElementById("fmload-settings");
    if (settings && settings.parentNode !== column) {
      settings.style.cssText += ";order:-8;margin:0;display:grid;grid-template-columns:auto 1fr;gap:2px 12px";
      for (const value of settings.querySelectorAll("dd")) value.style.cssText = "margin:0;overflow-wrap:anywhere";
      column.appendChild(settings);
    }
    const custom = [...column.children].find((child) => child.querySelector("[name^=fmload]"));
    if (!custom) return;
    custom.style.order = -7;
    const summary = custom.querySelector(".MuiAccordionSummary-root");
    const title = summary && document.createTreeWalker(summary, NodeFilter.SHOW_TEXT).nextNode();
    if (title && title.nodeValue === "Custom parameters") {
      title.nodeValue = "Model, prompts, sweep";
      if (summary.getAttribute("aria-expanded") !== "true") summary.click();
    }
  }

  function addButton(form) {
    if (form.querySelector("#fmload-try")) return;
    const box = document.createElement("div");
    box.style.cssText = "display:flex;gap:12px;align-items:baseline;flex-wrap:wrap;margin:12px 0";
    const button = document.createElement("button");
    button.id = "fmload-try";
    button.type = "button";
    button.textContent = "Try the endpoint";
    button.style.cssText = "font:inherit;padding:6px 14px;border:1px solid currentColor;border-radius:4px;" +
      "background:none;color:inherit;cursor:pointer";
    const told = document.createElement("span");
    told.id = "fmload-tried";
    told.setAttribute("role", "status");
    told.style.cssText = "flex:1 1 300px;overflow-wrap:anywhere";
    button.addEventListener("click", () => tryIt(form, button, told));
    box.append(button, told);
    form.appendChild(box);
  }

  async function tryIt(form, button, told) {
    const body = new URLSearchParams();
    for (const input of fieldsOf(form)) body.append(input.name.replace(/([A-Z])/g, "_$1").toLowerCase(), input.value);
    button.disabled = true;
    told.textContent = "asking …";
    told.style.color = "";
    try {
      const answer = await (await fetch(TRY, { method: "POST", body })).json();
      told.textContent = `${answer.success ? "✓" : "✗"} ${answer.message}`;
      told.style.color = answer.success ? "" : "#d32f2f";
    } catch (error) {
      told.textContent = `✗ ${error}`;
    }
    button.disabled = false;
  }

  function place() {
    const form = document.querySelector("#root form");
    if (!form || !form.querySelector("[name=host]")) return;
    arrange(form);
    addButton(form);
  }

  new MutationObserver(place).observe(document.documentElement, { childList: true, subtree: true });
})();
