// The one page: which view is shown is told by its address, below root: "" is the
// list, "c/NAME" a console, "login" the login.

import { root, unauthorized } from "./api";
import { type View, h } from "./dom";
import { list } from "./list";
import { login } from "./login";
import { missing, missingConsole } from "./missing";

let view: View | undefined;
let was = ""; // the console that was shown last
let shown = 0; // how often a view was asked for: the last one counts

// go shows another address of the page, relative to root.
export function go(path: string, how: "push" | "replace" = "push"): void {
  const to = new URL(path, root);
  if (how === "push") history.pushState(null, "", to);
  else history.replaceState(null, "", to);
  void show();
}

async function make(): Promise<View> {
  const path = decodeURIComponent(location.pathname.slice(root.pathname.length));
  if (path === "login") return login(go);
  const name = /^c\/([^/]+)$/.exec(path)?.[1];
  if (name) {
    was = name;
    const { terminal } = await import("./terminal"); // it is most of the weight
    return terminal(name, new URLSearchParams(location.search), go, () => put(missingConsole(name)));
  }
  return path === "" ? list(go, was) : missing(`There is nothing at /${path}`);
}

async function show(): Promise<void> {
  const mine = ++shown;
  const next = await make();
  if (mine !== shown) {
    next.leave();
    return;
  }
  put(next);
}

function put(next: View): void {
  view?.leave();
  view = next;
  document.body.replaceChildren(next.element);
  next.entered?.();
}

// Links within the page change the view only.
document.addEventListener("click", (e) => {
  const link = e.target instanceof Element ? e.target.closest("a") : null;
  if (!link || e.defaultPrevented || e.button !== 0 || e.ctrlKey || e.metaKey || e.shiftKey || link.target || link.hasAttribute("download")) return;
  const to = new URL(link.href);
  const path = to.pathname.slice(root.pathname.length);
  if (to.origin !== root.origin || !to.pathname.startsWith(root.pathname) || !(path === "" || path.startsWith("c/"))) return;
  e.preventDefault();
  go(to.href);
});

window.addEventListener("popstate", () => void show());

unauthorized.addEventListener("unauthorized", () => {
  const here = location.pathname.slice(root.pathname.length);
  if (here === "login") return;
  go("login?" + new URLSearchParams({ next: here + location.search }), "replace");
});

document.body.replaceChildren(h("p", { class: "loading" }, "…"));
void show();
