
// Tables of text: whatever the API says stands in a page as text, never as markup.
const tables = (() => {
  const made = (tag, text, marks = {}) => {
    const one = document.createElement(tag);
    one.append(text);
    return Object.assign(one, marks);
  };
  const free = text => made("bdi", text);
  const time = (iso, options) => made("time", new Date(iso).toLocaleString("en-GB", { timeZone: "UTC", ...options }),
    { dateTime: iso });
  const row = (first, ...rest) => {
    const one = document.createElement("tr");
    one.append(made("th", first, { scope: "row" }), ...rest.map(cell => made("td", cell)));
    return one;
  };
  return { free, made, row, time };
})();
