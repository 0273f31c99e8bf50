/* Before anything is drawn: the theme that was chosen here once, else the system's. */
(function () {
  try {
    const kept = localStorage.getItem("mmsearch-theme");
    if (kept === "light" || kept === "dark") document.documentElement.dataset.theme = kept;
  } catch {
    // Storage may be forbidden; then the system decides.
  }
})();
