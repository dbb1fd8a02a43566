
// What a month cost: a chart, the sum of each cost center, and the days of the chosen one or of all.
{
  const { ask, begin, part, tell } = person, { free, made, row, time } = tables, { by, only } = sums;
  const PARTS = ["drawn", "overview", "detail"];
  let turn = 0, month = "", items = [], picture = null;

  // Does what was asked for last; what arrives for an earlier choice is dropped.
  const latest = job => async () => {
    const mine = ++turn;
    part("usage").setAttribute("aria-busy", "true");
    part("said").textContent = "Loading …";
    try {
      await job(() => mine === turn);
      if (mine === turn) tell(null);
    } catch (error) {
      if (mine !== turn) return;
      hide();
      tell(error);
    } finally {
      if (mine === turn) part("usage").removeAttribute("aria-busy");
    }
  };

  const hide = () => {
    for (const id of PARTS) part(id).hidden = true;
    part("said").textContent = "";
  };

  const inCurrency = found => (only(found) ? `, in ${only(found)}` : "");

  const query = asked => new URLSearchParams(Object.entries(asked).filter(([, value]) => value));

  // Reads a month whole: one that is long comes in parts.
  const read = async asked => {
    const found = [];
    for (let cursor = null; cursor !== undefined;) {
      const page = await (await ask(`v1/usage/summary?${query({ month: asked, cursor })}`)).json();
      found.push(...page.items);
      cursor = page.cursor || undefined;
    }
    return found;
  };

  const showChosen = async current => {
    const name = part("cost-center").value, whose = name || "all cost centers";
    const chart = await (await ask(`v1/usage/chart?${query({ month, cost_center: name })}`)).blob();
    if (!current()) return;
    if (picture) URL.revokeObjectURL(picture);
    picture = URL.createObjectURL(new Blob([chart], { type: "image/svg+xml" }));
    part("chart").src = picture;
    part("chart").alt = `Cost per day of ${whose} in ${month}; the tables have the same numbers.`;
    const chosen = items.filter(item => !name || item.cost_center === name);
    part("days").replaceChildren(...by(item => item.day, chosen).map(day => row(
      time(day.name, { weekday: "short", day: "numeric", month: "short" }), day.hours, day.cost,
    )));
    part("caption").replaceChildren("Each day of ", free(whose), inCurrency(chosen));
    const [all] = by(() => "", chosen);
    part("hours").textContent = all.hours;
    part("total").textContent = all.cost;
    for (const line of part("sums").rows) line.classList.toggle("chosen", line.cells[0].textContent === name);
    for (const id of PARTS) part(id).hidden = false;
    part("said").textContent = "";
  };

  const showMonth = async current => {
    const asked = part("month").value, found = await read(asked);
    if (!current()) return;
    [month, items] = [asked, found];
    const centers = by(item => item.cost_center, items), before = part("cost-center").value;
    part("cost-center").replaceChildren(made("option", "All cost centers", { value: "" }),
      ...centers.map(one => made("option", one.name, { value: one.name })));
    part("cost-center").value = centers.some(one => one.name === before) ? before : "";
    part("cost-center").disabled = centers.length === 0;
    part("sums-caption").textContent = `Each cost center${items.length ? inCurrency(items) : ""}`;
    part("sums").replaceChildren(...centers.map(one => row(free(one.name), one.hours, one.cost)));
    if (centers.length) return showChosen(current);
    hide();
    part("said").textContent = "Nothing was used in this month.";
  };

  part("enlarge").addEventListener("click", () => {
    const large = part("drawn").classList.toggle("large");
    part("enlarge").setAttribute("aria-pressed", large);
    part("drawn").tabIndex = large ? 0 : -1;
  });
  part("month").addEventListener("change", latest(showMonth));
  part("cost-center").addEventListener("change", latest(showChosen));
  begin(latest(showMonth));
}
