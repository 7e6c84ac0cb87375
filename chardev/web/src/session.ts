// Who the daemon takes the person for.

import { get, request, root, url } from "./api";
import { h, say } from "./dom";
import { person } from "./words";

export interface Session {
  who: string; // "anonymous" if nobody is known
  names: string[];
  operator: boolean;
  ends?: string; // absent: there is no session, as somebody is known by something else
}

export function known(s: Session): boolean {
  return s.who !== "anonymous";
}

export function session(signal: AbortSignal): Promise<Session> {
  return get<Session>("session", { signal });
}

// loginLink leads to the login, and back to where one was.
export function loginLink(label: string): HTMLAnchorElement {
  const next = location.pathname.slice(root.pathname.length);
  return h("a", { class: "login-link", href: new URL("login?" + new URLSearchParams({ next }), root).href }, label);
}

// account shows who one is, and a way to be another one.
export function account(signal: AbortSignal, go: (path: string) => void): HTMLElement {
  const place = h("span", { class: "account" });
  session(signal).then((s) => {
    if (!known(s)) place.replaceChildren(loginLink("Log in"));
    else {
      const name = h("span", { class: "muted", title: s.names.join(", ") });
      say(name, person(s.who));
      place.replaceChildren(name);
      if (s.ends) place.append(h("button", { class: "quiet", onclick: () => void request("DELETE", url("session")).then(() => go("login")) }, "Log out"));
    }
  }, () => {});
  return place;
}
