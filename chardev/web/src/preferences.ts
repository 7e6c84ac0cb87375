// What a person has chosen, kept in his browser.

import type { Size } from "./screen";

function kept<T>(name: string, initial: T, fits: (v: unknown) => boolean): { get(): T; set(v: T): void } {
  const key = "chardevd." + name;
  let value = initial;
  try {
    const found: unknown = JSON.parse(localStorage.getItem(key) ?? "null");
    if (fits(found)) value = found as T;
  } catch {
    // the browser keeps nothing for pages, or something else was kept
  }
  return {
    get: () => value,
    set(v) {
      value = v;
      try {
        localStorage.setItem(key, JSON.stringify(v));
      } catch {
        // then it is for this visit
      }
    },
  };
}

const fontSize = kept("fontSize", 14, (v) => typeof v === "number" && v >= 8 && v <= 32);
const size = kept<Size>("size", "fit", (v) => typeof v === "string" && /^(fit|\d{2,3}x\d{2,3})$/.test(v));
const screenReader = kept("screenReader", false, (v) => typeof v === "boolean");

export const preferences = {
  get fontSize() { return fontSize.get(); },
  set fontSize(v: number) { fontSize.set(v); },
  get size() { return size.get(); },
  set size(v: Size) { size.set(v); },
  get screenReader() { return screenReader.get(); },
  set screenReader(v: boolean) { screenReader.set(v); },
};
