// The keys that a phone has not.

import { h } from "./dom";

// Their order is that of a keyboard's corner; what an arrow sends depends on the mode
// that the console has asked for (DECCKM).
const keys: { label: string; name: string; text: string; cursor?: string }[] = [
  { label: "Esc", name: "Esc", text: "\x1b" },
  { label: "Tab", name: "Tab", text: "\t" },
  { label: "←", name: "Left", text: "", cursor: "D" },
  { label: "↓", name: "Down", text: "", cursor: "B" },
  { label: "↑", name: "Up", text: "", cursor: "A" },
  { label: "→", name: "Right", text: "", cursor: "C" },
  { label: "^C", name: "Control C", text: "\x03" },
  { label: "^D", name: "Control D", text: "\x04" },
  { label: "/", name: "Slash", text: "/" },
  { label: "|", name: "Pipe", text: "|" },
  { label: "-", name: "Dash", text: "-" },
  { label: "~", name: "Tilde", text: "~" },
];

export class Keys {
  readonly element: HTMLElement;
  private readonly control: HTMLButtonElement;

  constructor(type: (text: string) => void, applicationCursor: () => boolean) {
    this.control = h("button", { "aria-pressed": "false", onclick: () => this.hold(!this.held) }, "Ctrl");
    const buttons = keys.map((k) => h("button", {
      "aria-label": k.name,
      onclick: () => type(k.cursor ? (applicationCursor() ? "\x1bO" : "\x1b[") + k.cursor : k.text),
    }, k.label));
    buttons.splice(2, 0, this.control);
    this.element = h("div", { class: "keys", role: "toolbar", "aria-label": "Keys" }, ...buttons);
    // A press must not take the focus, or the phone's own keyboard goes away.
    this.element.addEventListener("pointerdown", (e) => e.preventDefault());
  }

  get held(): boolean {
    return this.control.getAttribute("aria-pressed") === "true";
  }

  private hold(on: boolean): void {
    this.control.setAttribute("aria-pressed", String(on));
  }

  // through is what becomes of typed text: the next character, if Ctrl is held, is a
  // control character.
  through(text: string): string {
    if (!this.held || text.length !== 1) return text;
    this.hold(false);
    const code = text.toUpperCase().charCodeAt(0);
    return code >= 0x3f && code <= 0x5f ? String.fromCharCode(code ^ 0x40) : text;
  }
}
