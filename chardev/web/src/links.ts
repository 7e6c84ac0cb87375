// Links in what a console prints. Who prints them is not trusted: only the web is
// opened, and only when the whole address was seen and agreed to.

import { ask, h } from "./dom";

export async function openLink(text: string): Promise<void> {
  let to: URL;
  try {
    to = new URL(text);
  } catch {
    return;
  }
  if (to.protocol !== "http:" && to.protocol !== "https:") return;
  const body = h("div", {}, h("p", {}, "The console printed this link. Whoever made it print that chose where it goes:"), h("p", { class: "address" }, to.href));
  if (await ask("Open a link?", body, [{ value: "", label: "Stay here" }, { value: "open", label: "Open in a new tab" }]) === "open") {
    window.open(to.href, "_blank", "noopener,noreferrer");
  }
}
