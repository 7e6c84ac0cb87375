// The page is made of elements made here. Text gets into it as text only: nothing
// takes HTML.

type Attributes = Record<string, string | number | boolean | EventListener | undefined>;
type Child = Node | string | null | undefined;

// h makes an element. An attribute that is a function listens for the event that its
// name tells behind "on"; false and undefined leave an attribute out, true gives it
// no value.
export function h<K extends keyof HTMLElementTagNameMap>(tag: K, attributes: Attributes = {}, ...children: Child[]): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name.slice(2), value);
    else if (value !== undefined && value !== false) element.setAttribute(name, value === true ? "" : String(value));
  }
  for (const child of children) {
    if (child !== null && child !== undefined) element.append(child);
  }
  return element;
}

// say changes an element's text, if it is another: so that nothing is painted, and
// read out, again without a reason.
export function say(element: Element, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}

// A View is what fills the page; leave ends all that it started.
export interface View {
  element: HTMLElement;
  entered?(): void; // it is in the page now
  leave(): void;
}

// Until collects what is to be undone at a view's end.
export class Until {
  private readonly undo: (() => void)[] = [];
  readonly signal: AbortSignal;

  constructor() {
    const over = new AbortController();
    this.signal = over.signal;
    this.undo.push(() => over.abort());
  }

  do(what: () => void): void {
    this.undo.push(what);
  }

  // on listens until the end.
  on(target: EventTarget, type: string, listener: (event: any) => void, options: AddEventListenerOptions = {}): void {
    target.addEventListener(type, listener, { ...options, signal: this.signal });
  }

  end(): void {
    for (const one of this.undo.splice(0).reverse()) one();
  }
}

// ask shows a dialog until one of its buttons is pressed, and tells which: "" if none
// was and it was closed.
export function ask(title: string, body: Node, buttons: { value: string; label: string; main?: boolean }[]): Promise<string> {
  return new Promise((done) => {
    const heading = h("h2", { id: "dialog-title" }, title);
    const form = h("form", { method: "dialog" }, heading, body, h("div", { class: "buttons" },
      ...buttons.map((b) => h("button", { value: b.value, class: b.main ? "main" : undefined, autofocus: b.main }, b.label))));
    const dialog = h("dialog", { "aria-labelledby": "dialog-title" }, form);
    dialog.addEventListener("click", (e) => {
      if (e.target === dialog) dialog.close("");
    });
    dialog.addEventListener("close", () => {
      dialog.remove();
      done(dialog.returnValue);
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}
