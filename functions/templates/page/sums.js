
// Sums of decimal strings, exact to the last place: a float would lose what a bill has.
const sums = (() => {
  const PLACES = 30;
  const read = text => {
    const [, sign, whole, part = ""] = /^(-?)(\d+)(?:\.(\d+))?$/.exec(text);
    return BigInt(sign + whole + part.padEnd(PLACES, "0"));
  };
  const write = amount => {
    const digits = String(amount < 0n ? -amount : amount).padStart(PLACES + 1, "0");
    const part = digits.slice(-PLACES).replace(/0+$/, "").padEnd(2, "0");
    return `${amount < 0n ? "-" : ""}${digits.slice(0, -PLACES)}.${part}`;
  };

  // The one currency of all items, which then need not name it one by one.
  const only = items => (items.every(item => item.currency === items[0].currency) ? items[0].currency : "");

  // Adds up items by what `key` says of each, in the order of the keys; each currency has a sum of its own.
  const by = (key, items) => {
    const groups = new Map();
    for (const item of items) {
      const group = groups.get(key(item)) || { seconds: 0, amounts: new Map() };
      group.seconds += item.seconds;
      group.amounts.set(item.currency, (group.amounts.get(item.currency) || 0n) + read(item.cost));
      groups.set(key(item), group);
    }
    return [...groups].sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, { seconds, amounts }]) => ({
      name, hours: (seconds / 3600).toFixed(2),
      cost: [...amounts].map(([currency, amount]) => `${write(amount)}${only(items) ? "" : ` ${currency}`}`).join(" + "),
    }));
  };
  return { by, only };
})();
