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

// An Account shows who one is, and a way to be another one, once load was told.
export class Account {
  readonly element = h("span", { class: "account" });

  constructor(private readonly signal: AbortSignal, private readonly go: (path: string) => void) {}

  // load asks the daemon, if it has not answered yet.
  load(): void {
    if (this.element.childElementCount) return;
    session(this.signal).then((s) => {
      if (!known(s)) {
        this.element.replaceChildren(loginLink("Log in"));
        return;
      }
      const name = h("span", { class: "muted", title: s.names.join(", ") });
      say(name, person(s.who));
      this.element.replaceChildren(name);
      if (s.ends) this.element.append(h("button", { class: "quiet", onclick: () => void request("DELETE", url("session")).then(() => this.go("login")) }, "Log out"));
    }, () => {}); // the list tells
  }
}
