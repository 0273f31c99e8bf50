/** Light or dark: the system's, until one is chosen. theme.js applies the choice before drawing. */

import { byId, icon } from "./dom.js";

const dark = matchMedia("(prefers-color-scheme: dark)");

export function themeButton() {
  const button = byId("theme");
  const current = () => document.documentElement.dataset.theme ?? (dark.matches ? "dark" : "light");
  const show = () => {
    const other = current() === "dark" ? "light" : "dark";
    button.replaceChildren(icon(other === "dark" ? "moon" : "sun"));
    button.title = button.ariaLabel = `Switch to the ${other} theme`;
  };
  button.addEventListener("click", () => {
    const other = current() === "dark" ? "light" : "dark";
    document.documentElement.dataset.theme = other;
    try {
      localStorage.setItem("mmsearch-theme", other);
    } catch {
      // Storage may be forbidden: then it holds for this page.
    }
    show();
  });
  dark.addEventListener("change", show);
  show();
}
