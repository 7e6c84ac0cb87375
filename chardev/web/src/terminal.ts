// A console: the terminal, what is above and below it, and what they have to do with
// each other.

import { type Info, chardev, get, root } from "./api";
import { Bar, type State } from "./bar";
import { Until, type View, h, say } from "./dom";
import { Find } from "./find";
import { Keyboard } from "./keyboard";
import { Keys } from "./keys";
import { menu } from "./menu";
import { Sender } from "./paste";
import { People } from "./people";
import { preferences } from "./preferences";
import { Reader } from "./reader";
import { Screen } from "./screen";
import type { Message } from "./stream";
import { type Session, known, loginLink, session } from "./session";
import { clock, size } from "./words";

const bytes = new TextEncoder();

// terminal shows a console; missing is called if there is none of that name.
export function terminal(name: string, query: URLSearchParams, go: (path: string) => void, missing: () => void): View {
  document.title = name + " · Consoles";
  const until = new Until();
  const host = h("div", { class: "screen" });
  const screen = new Screen(host, preferences);
  const bar = new Bar(() => screen.term.focus());
  const remark = (text: string) => bar.remark(text);
  // The daemon names the console in what it tells; here it is clear which one.
  const trouble = (text: string) => bar.trouble(text.startsWith(name + ": ") ? text.slice(name.length + 2) : text);
  const at = query.get("at");
  let client = "";
  let device: { state: string; why: string; since: Date | undefined } = { state: "up", why: "", since: undefined };
  let untaken: number | undefined; // the device has not taken what was typed, nor printed from this offset on
  let info: Info | undefined;
  let who: Session | undefined;

  // What is typed goes one way: through type.
  let refused = 0;
  function type(text: string | Uint8Array): boolean {
    if (reader.past) {
      void reader.back();
      trouble("back at the live end; what was typed was not sent");
      return false;
    }
    const { why } = keyboard;
    if (why || device.state !== "up" || !reader.stream.send(typeof text === "string" ? bytes.encode(text) : text)) {
      if (Date.now() - refused > 1000) trouble(why ? "not sent: " + why : "not sent"); // how it is says the rest
      refused = Date.now();
      return false;
    }
    if (reader.paused) reader.pause(false);
    return true;
  }

  const reader: Reader = new Reader(name, screen, at !== null && /^\d+$/.test(at) ? Number(at) : undefined, { changed, message, trouble });
  const focus = () => screen.term.focus();
  const keyboard = new Keyboard({
    anonymous: () => who !== undefined && !known(who),
    login: () => go(loginLink("").href),
    tell: (m) => reader.stream.tell(m), changed, remark, focus,
  });
  const keys = new Keys((text) => type(text), () => screen.term.modes.applicationCursorKeysMode);
  const people = new People(name, () => client, trouble);
  const sender = new Sender({ type, waiting: () => reader.stream.waiting, report: remark }, (text) => screen.term.paste(text));
  const find = new Find(name, screen, (offset, flag) => void reader.jump(offset, flag), focus);
  const more = menu({ name, screen, sender, remark, trouble, focus, serial: () => info !== undefined && (info.line !== undefined || /(^|\+)rfc2217[:+]/.test(info.device)), sendSize, link: () => linkHere().href });
  screen.mayAnswer = () => keyboard.why === "" && reader.stream.open && document.hasFocus();

  const state = h("span", { class: "state" });
  const pause = h("button", { class: "quiet", "aria-pressed": "false", title: "Hold the screen still", onclick: () => past ? void reader.back() : reader.pause(!reader.paused) }, "Pause");
  const header = h("header", { class: "top" },
    h("a", { href: root.href, class: "back", "aria-label": "All consoles" }, "‹"),
    h("h1", {}, name), state, h("span", { class: "space" }),
    people.button, keyboard.element,
    h("button", { class: "quiet", "aria-keyshortcuts": "Control+Shift+F", title: "Find (Ctrl+Shift+F)", onclick: () => find.open() }, "Find"),
    pause, more.button, people.panel, more.panel);
  const element = h("main", { class: "terminal" }, header, find.element, host, keys.element, bar.element);

  // inPast is whether the live end is out of sight, and past what was shown of that.
  let past = false;
  const inPast = () => reader.past || !screen.atBottom;

  // sendSize tells a device that has a window how large this one is; a guest behind a
  // serial line has to be told by typing.
  function sendSize(): void {
    const { cols, rows } = screen.term;
    reader.stream.tell({ type: "resize", cols, rows });
    if (!info?.device.startsWith("exec:")) type(`stty cols ${cols} rows ${rows}\r`);
    focus();
  }

  function linkHere(): URL {
    const to = new URL("c/" + encodeURIComponent(name), root);
    to.searchParams.set("at", String(screen.offsetOf(screen.term.buffer.active.viewportY)));
    return to;
  }

  function message(m: Message): void {
    keyboard.hear(m);
    switch (m.type) {
      case "hello":
        client = m.client ?? "";
        people.told(m.clients ?? 0);
        if (m.state && m.state !== device.state) device = { state: m.state, why: "", since: undefined }; // begun learns it
        changed();
        if (m.text) trouble(m.text);
        void begun();
        break;
      case "clients":
        people.told(m.clients ?? 0);
        break;
      case "device": {
        const back = m.state === "up" && device.state !== "up";
        device = { state: m.state ?? "", why: m.text ?? "", since: new Date() };
        untaken = undefined;
        changed();
        if (back) remark("the device is back");
        break;
      }
      case "gap":
        if (m.text) remark(`at most ${size(m.size ?? 0)} are missing: ${m.text}`);
        else trouble(`${size(m.size ?? 0)} are missing: they are in neither memory nor log`);
        break;
      case "notice":
        if (m.waits) {
          untaken = reader.stream.next;
          changed();
        } else trouble(m.text ?? "");
        break;
    }
  }

  async function begun(): Promise<void> {
    try {
      who = await session(until.signal);
      keyboard.paint();
      info = await get<Info>(chardev(name), { signal: until.signal });
      device = { state: info.state, why: info.error ?? "", since: new Date(info.since) };
      untaken = info.input_waits ? info.offset : undefined;
    } catch {
      return; // the stream tells
    }
    changed();
  }

  // standing is how it is, the worst first.
  function standing(): State {
    const { link_: link } = reader;
    switch (link.state) {
      case "ended":
        return { kind: "bad", text: link.why, action: { label: "Attach again", do: () => reader.stream.again() } };
      case "waiting":
        return { kind: "warn", text: "reconnecting: " + link.why, action: { label: "Now", do: () => reader.stream.hurry() } };
      case "connecting":
        return { kind: "warn", text: "connecting…" };
    }
    if (device.state !== "up") {
      const what = "the device is down" + (device.since ? " since " + clock(device.since) : "") + (device.state === "opening" ? "; it is being opened" : "");
      return { kind: "warn", text: what + (device.why ? ": " + device.why : "") };
    }
    if (reader.loading) return { kind: "calm", text: "reading the log…" };
    if (past) {
      const before = reader.past ? `, ${size(Math.max(0, reader.stream.next - screen.held.end))} back` : "";
      return { kind: "calm", text: "in the past" + before, action: { label: "To the live end", do: () => void reader.back() } };
    }
    if (reader.paused) return { kind: "calm", text: `paused${reader.waiting ? ": more is there" : ""}`, action: { label: "Go on", do: () => reader.pause(false) } };
    if (untaken !== undefined) return { kind: "warn", text: "the device has not taken all that was typed" };
    return { kind: "good", text: "live" };
  }

  function changed(): void {
    if (until.signal.aborted) return;
    const { link_: link } = reader;
    if (link.state === "ended" && link.missing && !client) return missing();
    past = inPast();
    bar.stand(standing());
    const up = link.state === "open" ? device.state : "opening";
    if (up !== element.dataset["state"]) bar.hush();
    element.dataset["state"] = up;
    keys.element.hidden = !keyboard.mayType;
    bar.traps(keyboard.why === "");
    say(state, up === "up" ? "" : up === "down" ? "down" : "reconnecting");
    say(pause, past ? "Live" : reader.paused ? "Go on" : "Pause");
    pause.setAttribute("aria-pressed", String(reader.paused));
    bar.note(`${screen.term.cols}×${screen.term.rows}`);
  }

  function entered(): void {
    screen.open();
    screen.resize(preferences.size);
    const { term } = screen;
    // Where nothing is typed Tab is the page's: to the login, or to take the keyboard.
    term.attachCustomKeyEventHandler((e) => e.key !== "Tab" || keyboard.why === "");
    term.onData((text) => type(keys.through(text)));
    term.onBinary((text) => type(Uint8Array.from(text, (c) => c.charCodeAt(0))));
    term.onResize(changed);
    // What scrolls, and by whom, the terminal tells only when it has happened.
    let top = screen.atTop;
    const scrolled = () => {
      if (inPast() !== past) changed();
      const now = screen.atTop;
      if (now && !top) void reader.older();
      top = now;
      if (reader.past && screen.atBottom) void reader.newer();
    };
    term.onScroll(scrolled);
    until.on(host, "wheel", (e: WheelEvent) => {
      if (e.deltaY < 0 && screen.atTop) void reader.older();
      else if (e.deltaY > 0 && reader.past && screen.atBottom) void reader.newer();
    }, { passive: true });
    until.on(host, "console-bytes", (e: CustomEvent<{ at: number }>) => {
      if (untaken === undefined || e.detail.at < untaken) return;
      untaken = undefined;
      changed();
    });
    until.on(host, "paste", (e: ClipboardEvent) => {
      e.preventDefault();
      e.stopPropagation();
      void sender.offer(e.clipboardData?.getData("text/plain") ?? "");
    }, { capture: true });
    until.on(document, "keydown", shortcut, { capture: true });
    const fit = new ResizeObserver(() => screen.fit());
    fit.observe(host);
    until.do(() => fit.disconnect());
    reader.stream.start();
    focus();
  }

  // shortcut keeps for the page what a terminal's own program keeps, and no more: all
  // else is typed. Ctrl+Shift+V is the browser's.
  function shortcut(e: KeyboardEvent): void {
    if (e.shiftKey && e.key === "PageUp" && screen.atTop) void reader.older();
    if (!(e.ctrlKey || e.metaKey) || !e.shiftKey) return;
    switch (e.code) {
      case "KeyC": void navigator.clipboard.writeText(screen.term.getSelection()); break;
      case "KeyF": find.open(); break;
      case "KeyL": go(""); break;
      case "End": void reader.back(); break;
      default: return;
    }
    e.preventDefault();
    e.stopPropagation();
  }

  until.do(() => {
    sender.stop();
    reader.close();
    bar.close();
    screen.close();
  });
  return { element, entered, leave: () => until.end() };
}
