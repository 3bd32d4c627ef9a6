/* Sorting, filtering and searching the slices; the theme; links to a slice. Everything is readable without it. */
(function () {
  "use strict";
  var root = document.documentElement;
  var theme = document.querySelector(".theme");
  var store = { get: function () { try { return localStorage.getItem("xaudit-theme"); } catch (e) { return null; } },
    set: function (v) { try { localStorage.setItem("xaudit-theme", v); } catch (e) { /* private window */ } } };
  function dark() {
    return root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  }
  if (store.get()) { root.dataset.theme = store.get(); }
  if (theme) {
    theme.hidden = false;
    theme.setAttribute("aria-pressed", String(dark()));
    theme.addEventListener("click", function () {
      root.dataset.theme = dark() ? "light" : "dark";
      theme.setAttribute("aria-pressed", String(dark()));
      store.set(root.dataset.theme);
    });
  }

  var table = document.getElementById("slices"), tools = document.getElementById("tools");
  if (!table || !tools) { return; }
  var body = table.tBodies[0], rows = Array.prototype.slice.call(body.rows);
  var search = document.getElementById("search"), byOutcome = document.getElementById("by-outcome");
  var byAttribute = document.getElementById("by-attribute"), shown = document.getElementById("shown");
  var toast = document.querySelector(".toast"), rank = ["fails", "cannot_tell", "not_enough_data", "not_tested", "meets", "none"];
  var names = rows.map(function (row) { return row.cells[0].firstChild.textContent.toLowerCase(); });
  tools.hidden = false;

  function filter() {
    var words = search.value.toLowerCase().split(/\s+/).filter(Boolean), count = 0;
    rows.forEach(function (row, i) {
      var keep = (!byOutcome.value || row.dataset.o === byOutcome.value) &&
        (!byAttribute.value || row.dataset.a === byAttribute.value) &&
        words.every(function (word) { return names[i].indexOf(word) >= 0; });
      row.hidden = !keep;
      if (keep) { count += 1; }
    });
    shown.textContent = tools.dataset.shown.replace("%s", String(count)).replace("%n", String(rows.length));
  }
  var waiting = 0;
  search.addEventListener("input", function () { clearTimeout(waiting); waiting = setTimeout(filter, 80); });
  byOutcome.addEventListener("change", filter);
  byAttribute.addEventListener("change", filter);
  filter();

  var collator = new Intl.Collator(root.lang, { numeric: true });
  function key(row, column, kind) {
    if (kind === "outcome") { return rank.indexOf(row.dataset.o); }
    if (kind === "number") { var v = row.cells[column].dataset.v; return v === "" ? null : Number(v); }
    return row.cells[column].firstChild.textContent;
  }
  Array.prototype.forEach.call(table.tHead.rows[0].cells, function (head, column) {
    var kind = head.dataset.sort, button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    button.title = tools.dataset.sort.replace("%c", head.textContent);
    head.textContent = "";
    head.appendChild(button);
    button.addEventListener("click", function () {
      var up = head.getAttribute("aria-sort") !== "ascending";
      Array.prototype.forEach.call(table.tHead.rows[0].cells, function (other) { other.removeAttribute("aria-sort"); });
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      var keyed = rows.map(function (row, i) { return { row: row, key: key(row, column, kind), i: i }; });
      keyed.sort(function (a, b) {
        if (a.key === null || b.key === null) { return (a.key === null) - (b.key === null) || a.i - b.i; }
        var order = kind === "text" ? collator.compare(a.key, b.key) : a.key - b.key;
        return (up ? order : -order) || a.i - b.i;
      });
      var fragment = document.createDocumentFragment();
      keyed.forEach(function (item) { fragment.appendChild(item.row); });
      body.appendChild(fragment);
    });
  });

  function say(text) {
    toast.textContent = text;
    toast.classList.add("on");
    setTimeout(function () { toast.classList.remove("on"); }, 1600);
  }
  body.addEventListener("click", function (event) {
    var link = event.target.closest("a.link");
    if (!link) { return; }
    var address = location.href.split("#")[0] + link.getAttribute("href");
    if (navigator.clipboard && navigator.clipboard.writeText) {
      navigator.clipboard.writeText(address).then(function () { say(tools.dataset.copied); }, function () { /* the link still works */ });
    }
  });
})();
