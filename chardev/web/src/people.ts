// Who else is on the console.

import { type Client, chardev, get, isGone, request, url } from "./api";
import { ask, h, say } from "./dom";
import { ago, person, size } from "./words";

export class People {
  readonly button = h("button", { popovertarget: "people", class: "quiet", hidden: true });
  readonly panel = h("div", { id: "people", popover: "auto", class: "panel", role: "dialog", "aria-label": "Who is here" });
  private known = 0;

  constructor(private readonly name: string, private readonly me: () => string, private readonly trouble: (text: string) => void) {
    this.panel.addEventListener("toggle", (e) => {
      if ((e as ToggleEvent).newState === "open") void this.load();
    });
  }

  // told says how many there are now.
  told(clients: number): void {
    const changed = clients !== this.known;
    this.known = clients;
    this.paint();
    if (changed && this.panel.matches(":popover-open")) void this.load();
  }

  paint(): void {
    this.button.hidden = !this.known;
    say(this.button, this.known === 1 && this.me() ? "Only you" : this.known ? `${this.known} here` : "");
  }

  private async load(): Promise<void> {
    try {
      const clients = await get<Client[]>(chardev(this.name, "clients"));
      this.panel.replaceChildren(h("h2", {}, "Who is here"), h("ul", {}, ...clients.map((c) => this.one(c))));
    } catch (e) {
      if (!isGone(e)) this.panel.replaceChildren(h("h2", {}, "Who is here"), h("p", { class: "wrong", role: "alert" }, (e as Error).message));
    }
  }

  private one(c: Client): HTMLElement {
    const me = c.id === this.me();
    const facts = [nameOf(c) === c.peer ? "" : c.peer, c.mode === "read-only" ? "looks" : "may type", c.frontend === "attach" ? "" : "on " + c.frontend, ago(Date.parse(c.since)), c.lag > 0 ? size(c.lag) + " behind" : ""];
    if (c.writer === "has") facts.unshift((me ? "have" : "has") + " the keyboard");
    if (c.writer === "asked") facts.unshift((me ? "ask" : "asks") + " for the keyboard");
    return h("li", {},
      h("span", {}, h("b", {}, me ? "You" : nameOf(c)), " ", h("span", { class: "muted" }, facts.filter(Boolean).join(" · "))),
      me ? null : h("button", { class: "quiet", onclick: () => void this.cut(c) }, "Disconnect"));
  }

  private async cut(c: Client): Promise<void> {
    const body = h("p", {}, `${nameOf(c)} loses the connection, and may come back.`);
    if (await ask("Disconnect?", body, [{ value: "", label: "Cancel" }, { value: "cut", label: "Disconnect", main: true }]) !== "cut") return;
    try {
      await request("DELETE", url(chardev(this.name, "clients/" + encodeURIComponent(c.id))));
    } catch (e) {
      this.trouble((e as Error).message);
    }
  }
}

// nameOf is what a client is called: by its name, or by where it comes from.
function nameOf(c: Client): string {
  return c.who === "anonymous" ? c.peer || "somebody" : person(c.who);
}
