// Sets the colours that were chosen before anything is drawn. Owns nothing else; main.js has the switch.
"use strict";
try {
  const chosen = localStorage.getItem("soulbox-theme");
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
} catch {
  // A browser that keeps nothing uses the colours of the system.
}
