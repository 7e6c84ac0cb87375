// Who types. Where the input is exclusive one person has the keyboard at a time: it is
// taken, asked for, handed over and let go here; without it nothing that is typed on
// this page leaves it.

import { ask, h, say } from "./dom";
import type { Message, WriterClient } from "./stream";
import { person } from "./words";

export interface Owner {
  anonymous(): boolean; // nobody is known on this page
  login(): void;
  tell(m: Message): boolean;
  changed(): void;
  remark(text: string): void;
  focus(): void;
}

export class Keyboard {
  readonly element = h("div", { class: "keyboard" });
  private readonly main = h("button", { class: "take", onclick: () => void this.press() });
  private readonly other = h("button", { class: "quiet", onclick: () => void this.second() });
  private mode = "";
  private input = "";
  private you: Message["you"];
  private holder: WriterClient | undefined;
  private asked: WriterClient[] = [];

  constructor(private readonly owner: Owner) {
    this.element.append(this.main, this.other);
    this.paint();
  }

  // hear takes what a message says about who types.
  hear(m: Message): void {
    if (m.type !== "hello" && m.type !== "writer") return;
    if (m.type === "hello") this.mode = m.mode ?? "";
    const had = this.you === "has";
    this.you = m.you;
    this.input = m.writer?.input ?? "shared";
    this.holder = m.writer?.holder ?? undefined;
    this.asked = m.writer?.asked ?? [];
    this.paint();
    if (m.type === "writer" && had !== (this.you === "has")) this.owner.remark(this.changed(m.writer?.why ?? ""));
    else if (m.type === "writer" && this.you === "has" && this.asked[0]) this.owner.remark(`${person(this.asked[0].who)} asks for the keyboard`);
    this.owner.changed();
  }

  // why is why what is typed is not sent; "": it is.
  get why(): string {
    if (this.mode !== "read-write" && this.owner.anonymous()) return "log in to type";
    if (this.mode !== "read-write") return "you may look at this console, not type into it";
    if (this.input === "off") return "this console takes no input";
    if (this.input !== "exclusive" || this.you === "has") return "";
    return this.holder ? `${person(this.holder.who)} has the keyboard` : "take the keyboard to type";
  }

  // mayType is whether it is possible at all to type here, with the keyboard or without.
  get mayType(): boolean {
    return this.mode === "read-write" && this.input !== "off";
  }

  // changed says that the keyboard came here, or went.
  private changed(why: string): string {
    if (this.you === "has") return "you have the keyboard";
    return this.holder ? `${person(this.holder.who)} has the keyboard now` : why || "you have the keyboard no longer";
  }

  private op(text: string, client?: string): void {
    this.owner.tell(client ? { type: "writer", text, client } : { type: "writer", text });
  }

  private async press(): Promise<void> {
    if (this.mode !== "read-write") {
      this.owner.login();
      return;
    }
    if (this.you === "has") {
      const first = this.asked[0];
      if (first) this.op("grant", first.client);
      else this.op("release");
    } else if (this.you === "asked") this.op("release");
    else {
      this.op(this.holder ? "request" : "take");
      this.owner.focus();
    }
  }

  private async second(): Promise<void> {
    if (this.you === "has") {
      this.op("release");
      return;
    }
    const who = person(this.holder?.who ?? "somebody");
    const body = h("p", {}, `${who} is typing into this console now, and is told that you took it away. What he has begun stays as it is.`);
    if (await ask("Take the keyboard away?", body, [{ value: "", label: "Leave it" }, { value: "force", label: "Take it", main: true }]) === "force") {
      this.op("force");
      this.owner.focus();
    }
  }

  paint(): void {
    const exclusive = this.input === "exclusive" && this.mode === "read-write";
    this.element.classList.toggle("mine", exclusive && this.you === "has");
    const login = this.mode === "read-only" && this.owner.anonymous();
    this.main.disabled = !exclusive && !login;
    this.main.hidden = this.input === "shared" && this.mode === "read-write";
    this.other.hidden = !exclusive || !this.holder || (this.you === "has" && !this.asked.length);
    this.element.hidden = this.mode === "" || (this.main.hidden && this.other.hidden);
    say(this.other, this.you === "has" ? "Release" : "Take it away");
    this.main.title = this.why;
    if (login) say(this.main, "Log in to type");
    else if (this.mode !== "read-write") say(this.main, "Read only");
    else if (this.input === "off") say(this.main, "No input");
    else if (this.you === "has") say(this.main, this.asked[0] ? `Give it to ${person(this.asked[0].who)}` : "Release the keyboard");
    else if (this.you === "asked") say(this.main, `Asked ${person(this.holder?.who ?? "")}…`);
    else say(this.main, this.holder ? `${person(this.holder.who)} types · Ask` : "Take the keyboard");
  }
}
