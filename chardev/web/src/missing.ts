// What is shown where there is nothing.

import { root } from "./api";
import { type View, h } from "./dom";

export function missing(what: string): View {
  document.title = "Consoles";
  const element = h("main", { class: "missing" },
    h("h1", {}, what),
    h("p", {}, h("a", { href: root.href }, "All consoles")));
  return { element, leave: () => {} };
}
