
const code = document.getElementById("code"), fill = () => { code.value = location.hash.slice(1); history.replaceState(null, "", location.pathname); code.form.submit(); };
if (location.hash.length > 1) fill();
addEventListener("hashchange", () => { if (location.hash.length > 1) fill(); });
