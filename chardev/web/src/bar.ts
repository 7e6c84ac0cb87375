// The bar below the terminal: what happens to the console and to the way to it, beside
// what the console prints and never in it.

import { h, say } from "./dom";

export interface Saying {
  kind: "good" | "calm" | "warn" | "bad";
  text: string;
  action?: { label: string; do: () => void };
}

const shown = 8000; // ms that a remark stays

export class Bar {
  private readonly text = h("span", { class: "text", role: "status", "aria-live": "polite" });
  private readonly action = h("button", { class: "quiet", hidden: true, onclick: () => { this.does?.(); this.left(); } });
  private readonly right = h("span", { class: "right" });
  readonly element = h("footer", { class: "bar" }, h("span", { class: "dot", "aria-hidden": "true" }), this.text, this.action, this.right);
  private does: (() => void) | undefined;
  private standing: Saying = { kind: "calm", text: "" };
  private timer = 0;

  // left is called when its button was pressed, which may be there no longer.
  constructor(private readonly left: () => void) {}

  // stand shows how it is, until that is another.
  stand(saying: Saying): void {
    this.standing = saying;
    if (!this.timer || saying.kind === "bad") this.show(saying);
  }

  // remark shows for a while what happened.
  remark(text: string, kind: Saying["kind"] = "warn"): void {
    clearTimeout(this.timer);
    this.timer = window.setTimeout(() => {
      this.timer = 0;
      this.show(this.standing);
    }, shown);
    this.show({ kind, text });
  }

  note(text: string): void {
    say(this.right, text);
  }

  close(): void {
    clearTimeout(this.timer);
  }

  private show(saying: Saying): void {
    this.element.dataset["kind"] = saying.kind;
    say(this.text, saying.text);
    this.does = saying.action?.do;
    this.action.hidden = !saying.action;
    say(this.action, saying.action?.label ?? "");
  }
}
