// The login: a user and his password, or a token. What is shown here becomes a session,
// whose cookie no script can read.

import { Refused, request, url } from "./api";
import { type View, h, say } from "./dom";

export function login(go: (path: string, how?: "push" | "replace") => void): View {
  document.title = "Log in · chardevd";
  const user = h("input", { id: "user", name: "username", autocomplete: "username", autocapitalize: "none", spellcheck: "false" });
  const password = h("input", { id: "password", name: "password", type: "password", autocomplete: "current-password", required: true });
  const wrong = h("p", { class: "wrong", role: "alert" });
  const button = h("button", { class: "main" }, "Log in");

  async function submit(e: globalThis.Event): Promise<void> {
    e.preventDefault();
    say(wrong, "");
    button.disabled = true;
    try {
      const body = user.value ? { user: user.value, password: password.value } : { token: password.value };
      await request("POST", url("session"), { body });
      go(next(), "replace");
    } catch (error) {
      const r = error as Refused;
      say(wrong, r.status === 401 ? "User and password do not fit, or the token is not valid." : r.message);
      password.select();
    } finally {
      button.disabled = false;
    }
  }

  const element = h("main", { class: "login" },
    h("form", { onsubmit: (e) => void submit(e) },
      h("h1", {}, "Consoles"),
      h("p", { class: "muted" }, "This daemon wants to know who you are."),
      h("label", { for: "user" }, "User"), user,
      h("label", { for: "password" }, "Password"), password,
      h("p", { class: "hint" }, "Have a token instead? Leave the user empty and paste it as the password."),
      h("p", { class: "hint" }, "No user yet? ", h("code", {}, "chardevd user add NAME"), " makes one, where the daemon runs."),
      wrong, button));
  return { element, entered: () => user.focus(), leave: () => {} };
}

// next is where it goes on: within the page, whatever the address says.
function next(): string {
  const path = new URLSearchParams(location.search).get("next") ?? "";
  return /^c\/[A-Za-z0-9._-]+(\?at=\d+)?$/.test(path) ? path : "";
}
