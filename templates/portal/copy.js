// The only script of these pages: the button that copies a new token.
const button = document.getElementById("copy");
const token = document.getElementById("token");
const said = document.getElementById("copied");
if (button && token && said && navigator.clipboard) {
  button.hidden = false;
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(token.textContent);
      said.textContent = "Copied.";
    } catch {
      said.textContent = "It could not be copied: select the token and copy it by hand.";
    }
  });
}
