// What else can be done with a console, behind one button.

import { chardev, request, url } from "./api";
import { h } from "./dom";
import { copied, pasteBox, type Sender } from "./paste";
import type { Screen, Size } from "./screen";
import { lineDialog, sendBreak } from "./serial";
import { preferences } from "./preferences";

export interface Owner {
  name: string;
  screen: Screen;
  sender: Sender;
  serial(): boolean; // whether its device has a line
  remark(text: string): void;
  trouble(text: string): void;
  sendSize(): void;
  link(): string; // to the place that is shown
  focus(): void;
}

export function menu(o: Owner): { button: HTMLElement; panel: HTMLElement } {
  const panel = h("div", { id: "more", popover: "auto", class: "panel", role: "dialog", "aria-label": "More" });
  const item = (label: string, what: () => void | Promise<unknown>) =>
    h("button", { class: "item", onclick: () => { panel.hidePopover(); void Promise.resolve(what()).then(o.focus); } }, label);
  const download = (label: string, format: string, ending: string) =>
    h("a", { class: "item", href: url(chardev(o.name, "log"), { format }).href, download: `${o.name}.${ending}` }, label);

  const sizes = h("select", { id: "size", onchange: () => {
    preferences.size = sizes.value as Size;
    o.screen.resize(preferences.size);
  } }, ...[["fit", "fits the window"], ["80x24", "80 × 24"], ["132x24", "132 × 24"], ["132x43", "132 × 43"]].map(([value, label]) =>
    h("option", { value: value!, selected: value === preferences.size }, label!)));
  const scale = (by: number) => {
    preferences.fontSize = Math.min(32, Math.max(8, preferences.fontSize + by));
    o.screen.term.options.fontSize = preferences.fontSize;
    o.screen.fit();
  };
  const reader = h("input", { type: "checkbox", id: "reader", checked: preferences.screenReader, onchange: () => {
    preferences.screenReader = reader.checked;
    o.screen.term.options.screenReaderMode = reader.checked;
  } });
  const reopen = async () => {
    try {
      await request("POST", url(chardev(o.name, "reconnect")));
      o.remark("the device is opened anew");
    } catch (e) {
      o.trouble((e as Error).message);
    }
  };

  panel.addEventListener("beforetoggle", (e) => {
    if ((e as ToggleEvent).newState !== "open") return;
    panel.replaceChildren(
      h("p", { class: "field" }, h("span", {}, "Text"), h("span", { class: "pair" },
        h("button", { "aria-label": "A−, smaller text", onclick: () => scale(-1) }, "A−"), h("button", { "aria-label": "A+, larger text", onclick: () => scale(1) }, "A+"))),
      h("p", { class: "field" }, h("label", { for: "size" }, "Size"), sizes),
      item("Send the size to the guest", o.sendSize),
      h("hr"),
      item("Paste…", () => pasteBox(o.sender)),
      item("Send a file…", () => o.sender.file()),
      item("Copy what is selected, or shown", () => copyShown(o)),
      item("Copy a link to this place", () => copied(o.link()).then((did) => did && o.remark("the link is copied"))),
      h("hr"),
      item("Send a break", () => sendBreak(o.name, o.remark, o.trouble)),
      o.serial() ? item("Serial line…", () => lineDialog(o.name, o.remark, o.trouble)) : "",
      item("Open the device anew", () => reopen()),
      h("hr"),
      download("Download the log as text", "text", "txt"),
      download("Download every byte", "raw", "log"),
      download("Download as a recording", "asciicast", "cast"),
      h("hr"),
      h("p", { class: "field" }, h("label", { for: "reader" }, "Read output aloud (screen reader)"), reader));
  });
  const button = h("button", { popovertarget: "more", "aria-label": "More", title: "More", class: "quiet" }, "⋯");
  return { button, panel };
}

async function copyShown(o: Owner): Promise<void> {
  const { term } = o.screen;
  let text = term.getSelection();
  if (!text) {
    const b = term.buffer.active;
    const lines: string[] = [];
    for (let y = b.viewportY; y < b.viewportY + term.rows; y++) lines.push(b.getLine(y)?.translateToString(true) ?? "");
    text = lines.join("\n").trimEnd() + "\n";
  }
  if (await copied(text)) o.remark("copied");
}
