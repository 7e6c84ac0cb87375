// What is shown where there is nothing.

import { root } from "./api";
import { type View, Until, h } from "./dom";
import { known, loginLink, session } from "./session";

export function missing(what: string): View {
  document.title = "Consoles";
  return { element: nothing(what), leave: () => {} };
}

// missingConsole is shown where no console is, or one that who asks may not read: that is
// not told apart, but who is nobody yet may log in.
export function missingConsole(name: string): View {
  const until = new Until();
  const element = nothing(`There is no console ${name}`);
  session(until.signal).then((s) => {
    element.append(known(s) ? h("p", { class: "hint" }, "Or you may not read it.")
      : h("p", {}, "Or it is not for everybody: ", loginLink("Log in")));
  }, () => {});
  return { element, leave: () => until.end() };
}

function nothing(what: string): HTMLElement {
  return h("main", { class: "missing" },
    h("h1", {}, what),
    h("p", {}, h("a", { href: root.href }, "All consoles")));
}
