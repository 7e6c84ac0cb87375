// The list of all consoles: live, filtered as one types, and for the keyboard.

import { Until, type View, h, say } from "./dom";
import { type Summary, watch } from "./events";
import { Account } from "./session";
import { ago, count, minute, person } from "./words";

// A Row is a console in the list.
interface Row {
  element: HTMLLIElement;
  link: HTMLAnchorElement;
  state: HTMLElement;
  last: HTMLElement;
  when: HTMLElement;
  people: HTMLElement;
  info: Summary;
  text: string; // what the filter looks at
}

// prefix is what a console is grouped by: its name up to the first separator, or up to
// the number that it ends with. "rack1-node7" is of rack1, "vm12" of vm.
export function prefix(name: string): string {
  const m = /^([A-Za-z0-9]+)[-._]/.exec(name) ?? /^(.*?[A-Za-z])\d+$/.exec(name);
  return m?.[1] ?? "";
}

const order = new Intl.Collator(undefined, { numeric: true });

// list shows them; who comes from one of them goes on there with the keyboard.
export function list(go: (path: string) => void, from: string): View {
  document.title = "Consoles";
  const until = new Until();
  const rows = new Map<string, Row>();

  const filter = h("input", { type: "search", id: "filter", placeholder: "Filter", "aria-label": "Filter the consoles", autocomplete: "off", spellcheck: "false", "aria-keyshortcuts": "/" });
  const summary = h("p", { class: "summary", role: "status" }, "…");
  const account = new Account(until.signal, go);
  const groups = h("div", { class: "groups" });
  const columns = h("p", { class: "columns", hidden: true }, ...[["name", "Console"], ["state", "State"], ["last", "Last line"], ["when", "Printed"], ["people", "Who is there"]].map(([column, label]) => h("span", { class: column! }, label!)));
  const notice = h("p", { class: "notice", role: "status", hidden: true });
  const element = h("main", { class: "list" },
    h("header", {}, h("h1", {}, "Consoles"), summary, account.element, filter),
    notice, columns, groups,
    h("footer", {}, h("span", {}, h("kbd", {}, "/"), " filter"), h("span", {}, h("kbd", {}, "j"), " ", h("kbd", {}, "k"), " move"), h("span", {}, h("kbd", {}, "Enter"), " open")));

  function makeRow(info: Summary): Row {
    const state = h("span", { class: "state" });
    const last = h("span", { class: "last" });
    const when = h("span", { class: "when" });
    const people = h("span", { class: "people" });
    const link = h("a", { href: "c/" + encodeURIComponent(info.name) }, h("span", { class: "name" }, info.name), state, last, when, people);
    const row: Row = { element: h("li", {}, link), link, state, last, when, people, info, text: "" };
    rows.set(info.name, row);
    return row;
  }

  function paint(row: Row, now: number): void {
    const { info } = row;
    row.link.dataset["state"] = info.state;
    const since = minute(new Date(info.since), new Date(now));
    let state = "";
    if (info.state === "down") state = `down since ${since}`;
    if (info.state === "opening") state = `reconnecting, down since ${since}`;
    if (info.input_waits) state = "up, input waits";
    row.link.classList.toggle("waits", info.input_waits === true);
    say(row.state, state || "up");
    row.state.title = info.error ?? (info.input_waits ? "the device has not taken all that was typed" : `since ${since}`);
    say(row.last, info.last_line || (info.state === "up" ? "" : info.error ?? ""));
    const last = info.last_byte ? Date.parse(info.last_byte) : 0;
    say(row.when, last ? ago(last, now) : "");
    row.when.title = last ? "printed " + new Date(last).toLocaleString() : "has printed nothing yet";
    row.link.classList.toggle("fresh", now - last < 2000);
    say(row.people, info.writer ? person(info.writer) + " types" : info.clients ? count(info.clients, "person", "people") : "");
    row.people.title = info.attached.map(person).join(", ");
    row.text = [info.name, state || "up", info.writer ?? "", info.last_line, info.device, ...info.attached].join("\n").toLowerCase();
  }

  // arrange puts the rows into their groups, in order. A prefix of one console only is
  // no group.
  function arrange(): void {
    const names = [...rows.keys()].sort(order.compare);
    const sizes = new Map<string, number>();
    for (const name of names) sizes.set(prefix(name), (sizes.get(prefix(name)) ?? 0) + 1);
    const lists = new Map<string, HTMLLIElement[]>();
    for (const name of names) {
      const p = prefix(name);
      const group = (sizes.get(p) ?? 0) > 1 ? p : "";
      const list = lists.get(group) ?? [];
      list.push(rows.get(name)!.element);
      lists.set(group, list);
    }
    const focused = document.activeElement;
    groups.replaceChildren(...[...lists.keys()].sort(order.compare).map((name) => {
      const members = h("ul", {}, ...lists.get(name)!);
      return name ? h("section", { "aria-label": name }, h("h2", {}, name), members) : h("section", {}, members);
    }));
    if (focused instanceof HTMLElement && groups.contains(focused)) focused.focus();
  }

  function sift(): void {
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    let down = 0;
    for (const row of rows.values()) {
      const fits = words.every((w) => row.text.includes(w));
      row.element.hidden = !fits;
      if (fits) shown++;
      if (row.info.state !== "up") down++;
    }
    for (const section of groups.children) {
      (section as HTMLElement).hidden = !section.querySelector("li:not([hidden])");
    }
    const parts = [words.length ? `${shown} of ${count(rows.size, "console")}` : count(rows.size, "console")];
    if (down) parts.push(`${down} not up`);
    say(summary, parts.join(" · "));
    notice.hidden = rows.size > 0 && shown > 0;
    columns.hidden = !notice.hidden;
    if (!rows.size) say(notice, "No console is here that you may read.");
    else if (!shown) say(notice, "No console fits.");
  }

  const visible = () => [...groups.querySelectorAll<HTMLAnchorElement>("li:not([hidden]) a")];
  function move(by: number): void {
    const links = visible();
    const at = links.indexOf(document.activeElement as HTMLAnchorElement);
    const to = at < 0 ? (by > 0 ? 0 : links.length - 1) : Math.min(links.length - 1, Math.max(0, at + by));
    links[to]?.focus();
    links[to]?.scrollIntoView({ block: "nearest" });
  }

  until.on(filter, "input", sift);
  until.on(document, "keydown", (e: KeyboardEvent) => {
    if (e.ctrlKey || e.metaKey || e.altKey) return;
    const typing = document.activeElement === filter;
    switch (e.key) {
      case "ArrowDown": move(1); break;
      case "ArrowUp": move(-1); break;
      case "Escape":
        filter.value = "";
        sift();
        filter.blur();
        break;
      case "Enter": {
        const first = visible()[0];
        if (!typing || !filter.value || !first) return;
        go(first.getAttribute("href")!);
        break;
      }
      default:
        if (typing) return;
        if (e.key === "j") move(1);
        else if (e.key === "k") move(-1);
        else if (e.key === "g" || e.key === "Home") visible()[0]?.focus();
        else if (e.key === "G" || e.key === "End") visible().at(-1)?.focus();
        else if (e.key === "/") filter.focus();
        else return;
    }
    e.preventDefault();
  });

  until.do(watch({
    all(infos) {
      account.load();
      const now = Date.now();
      const names = new Set(infos.map((i) => i.name));
      for (const name of rows.keys()) if (!names.has(name)) rows.delete(name);
      for (const info of infos) {
        const row = rows.get(info.name) ?? makeRow(info);
        row.info = info;
        paint(row, now);
      }
      arrange();
      sift();
      if (document.activeElement === document.body) rows.get(from)?.link.focus();
      from = "";
    },
    one(info) {
      const row = rows.get(info.name);
      const mine = row ?? makeRow(info);
      mine.info = info;
      paint(mine, Date.now());
      if (!row) arrange();
      sift();
    },
    gone(name) {
      rows.delete(name);
      arrange();
      sift();
    },
    lost(error) {
      element.classList.toggle("stale", error !== undefined);
      if (error) say(summary, error.message + "; trying again…");
      else if (rows.size) sift();
    },
  }));

  // What was "3 s ago" is not for ever; nothing is asked for that.
  const clockwork = setInterval(() => {
    if (!document.hidden) for (const row of rows.values()) paint(row, Date.now());
  }, 5000);
  until.do(() => clearInterval(clockwork));

  return { element, leave: () => until.end() };
}
