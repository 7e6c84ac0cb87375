// The terminal's colours, by day and by night. The sixteen of the console keep their
// meaning; the terminal mends a contrast that is too small.

import type { ITheme } from "@xterm/xterm";

export const dark = matchMedia("(prefers-color-scheme: dark)");

export function palette(): ITheme {
  return dark.matches ? night : day;
}

// match is what the search has led to: it is selected, while what one types into is the
// search's field, and a selection covers what the search draws itself.
export const match = "#f0a92e";

const night: ITheme = {
  background: "#12151a", foreground: "#dbe0e8", cursor: "#8fd8b0", cursorAccent: "#12151a",
  selectionBackground: "#35507a", selectionInactiveBackground: match,
  black: "#1d222b", red: "#ee7d7d", green: "#8fcf9b", yellow: "#e3c07a", blue: "#82aef0", magenta: "#c79bea", cyan: "#76c8d3", white: "#c9cfd9",
  brightBlack: "#6f7a8c", brightRed: "#ff9d9d", brightGreen: "#a9e5b4", brightYellow: "#f4d798", brightBlue: "#a5c8ff", brightMagenta: "#dcb8f8", brightCyan: "#98e0ea", brightWhite: "#f5f7fa",
  scrollbarSliderBackground: "#ffffff26", scrollbarSliderHoverBackground: "#ffffff40", scrollbarSliderActiveBackground: "#ffffff59",
};

const day: ITheme = {
  background: "#fdfdfb", foreground: "#23272e", cursor: "#1f7a4d", cursorAccent: "#fdfdfb",
  selectionBackground: "#bcd4f5", selectionInactiveBackground: match,
  black: "#23272e", red: "#b3261e", green: "#1f7a4d", yellow: "#8a6100", blue: "#2458b8", magenta: "#8a3ab0", cyan: "#0f6f7d", white: "#6a7280",
  brightBlack: "#7c8594", brightRed: "#cf3a31", brightGreen: "#2a9560", brightYellow: "#a87900", brightBlue: "#3a72d8", brightMagenta: "#a552cc", brightCyan: "#188a9a", brightWhite: "#3b424d",
  scrollbarSliderBackground: "#00000026", scrollbarSliderHoverBackground: "#00000040", scrollbarSliderActiveBackground: "#00000059",
};
