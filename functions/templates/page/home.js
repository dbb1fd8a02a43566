
// What waits for whoever is signed in, and what they asked for: the newest of each.
{
  const { ask, begin, part, tell } = person, { free, made, row, time } = tables;
  const MOST = 25;
  const moment = iso => time(iso, { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });

  const monthly = price => `${price.monthly} ${price.currency} a month`;

  const called = (launch, ...more) => {
    const link = made("a", free(launch.name || launch.template), { href: `launches/${encodeURIComponent(launch.id)}` });
    const cell = document.createDocumentFragment();
    cell.append(link, document.createElement("br"), made("small", ""));
    cell.lastChild.append(...more);
    return cell;
  };

  const waiting = ({ gate, launch }) => row(
    called(launch, `${monthly(launch.price)}, gate ${gate.title}, asked by `, free(launch.requester.subject), ": ",
      free(launch.reason)),
    gate.expires_at ? moment(gate.expires_at) : "",
  );
  const asked = launch => row(
    called(launch, `${monthly(launch)}, asked `, moment(launch.at)), launch.state,
  );

  const fill = (id, page, line, none) => {
    part(id).replaceChildren(...page.items.map(line));
    part(id).parentElement.classList.toggle("empty", page.items.length === 0);
    part(`${id}-note`).textContent = page.items.length === 0 ? none : page.cursor ? `The newest ${MOST}.` : "";
  };

  const show = async () => {
    part("said").textContent = "Loading …";
    try {
      const [inbox, launches] = await Promise.all(["v1/inbox", "v1/launches"]
        .map(async path => (await ask(`${path}?limit=${MOST}`)).json()));
      fill("inbox", inbox, waiting, "Nothing waits for you.");
      fill("launches", launches, asked, "You asked for nothing yet.");
      part("lists").hidden = false;
      tell(null);
    } catch (error) {
      part("lists").hidden = true;
      tell(error);
    } finally {
      part("said").textContent = "";
    }
  };

  part("again").addEventListener("click", show);
  begin(show);
}
