// The controls of a serial line: break, rate, form and modem lines.

import { type Line, chardev, get, request, url } from "./api";
import { ask, h, say } from "./dom";

export async function sendBreak(name: string, remark: (text: string) => void, trouble: (text: string) => void): Promise<void> {
  try {
    await request("POST", url(chardev(name, "break")));
    remark("a break was sent");
  } catch (e) {
    trouble((e as Error).message);
  }
}

// lineDialog shows how the line is, and changes it.
export async function lineDialog(name: string, remark: (text: string) => void, trouble: (text: string) => void): Promise<void> {
  let line: Line;
  try {
    line = await get<Line>(chardev(name, "line"));
  } catch (e) {
    trouble((e as Error).message);
    return;
  }
  const rates = h("datalist", { id: "rates" }, ...[9600, 19200, 38400, 57600, 115200, 230400, 460800, 921600, 1500000].map((r) => h("option", { value: r })));
  const baud = h("input", { id: "baud", inputmode: "numeric", list: "rates", value: line.baud ?? "" });
  const mode = h("input", { id: "mode", value: line.mode ?? "", placeholder: "8n1", spellcheck: "false", autocapitalize: "none" });
  const flow = h("select", { id: "flow" }, ...["none", "rtscts", "xonxoff"].map((f) => h("option", { value: f, selected: f === line.flow }, f)));
  const modem = Object.entries(line.modem ?? {}).map(([wire, on]) => {
    const drives = wire === "dtr" || wire === "rts"; // the others are the other side's
    return h("label", { class: "wire" }, h("input", { type: "checkbox", name: wire, checked: on, disabled: !drives }), wire.toUpperCase());
  });
  const counters = Object.entries(line.counters ?? {}).filter(([, n]) => n).map(([what, n]) => `${what.replace("_", " ")} ${n}`);
  const wrong = h("p", { class: "muted" });
  say(wrong, line.error ?? "");
  const body = h("div", { class: "line" }, rates,
    h("p", { class: "field" }, h("label", { for: "baud" }, "Bits per second"), baud),
    h("p", { class: "field" }, h("label", { for: "mode" }, "Form"), mode),
    h("p", { class: "field" }, h("label", { for: "flow" }, "Flow control"), flow),
    h("p", { class: "wires" }, ...modem),
    counters.length ? h("p", { class: "muted" }, counters.join(" · ")) : null, wrong);
  if (await ask(`The serial line of ${name}`, body, [{ value: "", label: "Close" }, { value: "set", label: "Set", main: true }]) !== "set") return;
  const change: Line = {};
  if (baud.value && Number(baud.value) !== line.baud) change.baud = Number(baud.value);
  if (mode.value && mode.value !== line.mode) change.mode = mode.value;
  if (flow.value !== line.flow) change.flow = flow.value;
  for (const box of body.querySelectorAll<HTMLInputElement>(".wires input:enabled")) {
    if (box.checked !== line.modem?.[box.name]) (change.modem ??= {})[box.name] = box.checked;
  }
  if (!Object.keys(change).length) return;
  try {
    const now = await (await request("PATCH", url(chardev(name, "line")), { body: change })).json() as Line;
    remark(`the line is ${now.baud ?? "?"} ${now.mode ?? ""} ${now.flow ?? ""}`);
  } catch (e) {
    trouble((e as Error).message);
  }
}
