// One chart at a time: the buttons above choose it.
for (const button of document.querySelectorAll(".switch button")) {
  button.addEventListener("click", () => {
    for (const other of document.querySelectorAll(".switch button")) {
      const chosen = other === button;
      other.setAttribute("aria-pressed", String(chosen));
      document.getElementById("panel-" + other.dataset.measure).hidden = !chosen;
    }
  });
}
