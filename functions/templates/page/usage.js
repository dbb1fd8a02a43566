
// What a month cost: the sums of each cost center, and of the chosen one a chart and its days.
{
  const { ask, begin, part, tell } = person, { free, made, row, time } = tables;
  let turn = 0, found = null, picture = null;

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
      clear();
      tell(error);
    } finally {
      if (mine === turn) part("usage").removeAttribute("aria-busy");
    }
  };

  const clear = () => {
    for (const id of ["chart", "overview", "detail"]) part(id).hidden = true;
    part("said").textContent = "";
  };

  const choose = (month, name) => `month=${encodeURIComponent(month)}&cost_center=${encodeURIComponent(name)}`;

  const showCostCenter = async current => {
    const one = found.cost_centers.find(each => each.cost_center === part("cost-center").value);
    const chart = await (await ask(`v1/usage/chart?${choose(found.month, one.cost_center)}`)).blob();
    if (!current()) return;
    if (picture) URL.revokeObjectURL(picture);
    picture = URL.createObjectURL(new Blob([chart], { type: "image/svg+xml" }));
    part("chart").src = picture;
    part("chart").alt = `Cost per day of ${one.cost_center} in ${found.month}; the table has the same numbers.`;
    part("days").replaceChildren(...one.days.map(each => row(
      time(each.day, { weekday: "short", day: "numeric", month: "short" }), (each.seconds / 3600).toFixed(2), each.cost,
    )));
    part("caption").replaceChildren("Each day of ", free(one.cost_center), `, in ${found.currency}`);
    part("total").textContent = one.total;
    part("sums").querySelectorAll("tr").forEach((line, at) => {
      line.classList.toggle("chosen", found.cost_centers[at] === one);
    });
    for (const id of ["chart", "detail"]) part(id).hidden = false;
    part("overview").hidden = found.cost_centers.length < 2;
    part("said").textContent = "";
  };

  const showMonth = async current => {
    const month = part("month").value;
    const summary = await (await ask(`v1/usage/summary?month=${encodeURIComponent(month)}`)).json();
    if (!current()) return;
    const names = summary.cost_centers.map(one => one.cost_center), before = part("cost-center").value;
    found = summary;
    part("cost-center").replaceChildren(...names.map(name => made("option", name, { value: name })));
    part("cost-center").disabled = names.length === 0;
    if (names.includes(before)) part("cost-center").value = before;
    part("sums").replaceChildren(...summary.cost_centers.map(one => row(free(one.cost_center), one.total)));
    part("sums-caption").textContent = `Each cost center, in ${summary.currency}`;
    if (names.length) return showCostCenter(current);
    clear();
    part("said").textContent = "Nothing was used in this month.";
  };

  part("month").addEventListener("change", latest(showMonth));
  part("cost-center").addEventListener("change", latest(showCostCenter));
  begin(latest(showMonth));
}
