// The bar below the terminal: what happens to the console and to the way to it, beside
// what the console prints and never in it.

import { h, say } from "./dom";

// A State is how it is. It stands as long as it is so, whatever is remarked meanwhile.
export interface State {
  kind: "good" | "calm" | "warn" | "bad";
  text: string;
  action?: { label: string; do: () => void };
}

const shown = 6000; // ms that a remark stays

export class Bar {
  private readonly text = h("span", { class: "text", role: "status", "aria-live": "polite" });
  private readonly said = h("span", { class: "said", role: "status", "aria-live": "polite" });
  private readonly action = h("button", { class: "quiet", hidden: true, onclick: () => { this.does?.(); this.left(); } });
  // leaving tells how the keyboard gets out of the terminal; what is typed into is described by it.
  private readonly leaving = h("span", { id: "leaving", class: "leaving" });
  private readonly right = h("span", { class: "right" });
  readonly element = h("footer", { class: "bar" }, h("span", { class: "dot", "aria-hidden": "true" }), h("span", { class: "words" }, this.text, this.said), this.action, this.leaving, this.right);
  private does: (() => void) | undefined;
  private timer = 0;

  // left is called when its button was pressed, which may be there no longer.
  constructor(private readonly left: () => void) {}

  // stand shows how it is, until that is another.
  stand(state: State): void {
    this.element.dataset["kind"] = state.kind;
    say(this.text, state.text);
    this.does = state.action?.do;
    this.action.hidden = !state.action;
    say(this.action, state.action?.label ?? "");
  }

  // remark says for a while what was done, and trouble what was not, or went wrong.
  remark(text: string): void {
    this.tell(text, false);
  }

  trouble(text: string): void {
    this.tell(text, true);
  }

  // hush takes back what was said: it was about what is over.
  hush(): void {
    clearTimeout(this.timer);
    say(this.said, "");
  }

  note(text: string): void {
    say(this.right, text);
  }

  // traps says whether Tab is the console's, so that another way leads out of the terminal.
  traps(tab: boolean): void {
    say(this.leaving, tab ? "Ctrl+Shift+F, then Shift+Tab, leaves the terminal" : "");
  }

  close(): void {
    clearTimeout(this.timer);
  }

  private tell(text: string, trouble: boolean): void {
    this.hush();
    this.said.classList.toggle("trouble", trouble);
    say(this.said, text);
    this.timer = window.setTimeout(() => this.hush(), shown);
  }
}
