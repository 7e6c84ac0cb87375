// A <style-sheet> is to the terminal what a <style> element is: its text are rules, as
// long as it is in the page. But it is made by a script only, never from a page's
// text, and so a policy of style-src 'self' lets it be. build.mjs has the terminal
// make it.

class StyleSheetElement extends HTMLElement {
  private readonly sheet = new CSSStyleSheet();

  override set textContent(rules: string) {
    this.sheet.replaceSync(rules);
  }

  connectedCallback(): void {
    if (!document.adoptedStyleSheets.includes(this.sheet)) document.adoptedStyleSheets.push(this.sheet);
  }

  disconnectedCallback(): void {
    document.adoptedStyleSheets = document.adoptedStyleSheets.filter((one) => one !== this.sheet);
  }
}

customElements.define("style-sheet", StyleSheetElement);
