(function () {
  var page = JSON.parse(document.getElementById("charts-data").textContent), views = {};
  var form = document.querySelector("form.choose"), figure = document.querySelector("[data-chart=tradeoff]");
  var across = figure && figure.querySelector("select[name=across]");
  var choice = { models: page.models.map(function (m) { return m.n; }), metric: form && form.elements.metric ? form.elements.metric.value : "" };

  function mount(place) {
    var key = place.dataset.chart, spec = page.specs[key];
    if (!spec) { return null; }
    var drawn = place.querySelector(".drawn"), box = document.createElement("div");
    box.className = "vega";
    drawn.after(box);
    var options = { mode: "vega", renderer: "svg", actions: false, defaultStyle: false, logLevel: 1, ast: true, hover: true, tooltip: { disableDefaultStyle: true } };
    return window.vegaEmbed(box, spec, options).then(function (made) {
      views[key] = { view: made.view, box: box };
      box.setAttribute("role", "img");
      box.setAttribute("aria-label", drawn.getAttribute("aria-label") || "");
      drawn.classList.add("off");
      return update(key);
    }, function (error) { box.remove(); throw error; });
  }
  function update(key) {
    var one = views[key];
    if (key === "tradeoff") { return tradeoff(one); }
    return one.view.signal("shown", choice.models).runAsync();
  }
  function better(f) { return f.better === "lower" ? ", lower is better" : f.better === "higher" ? ", higher is better" : ""; }

  function tradeoff(one) {
    var fx = page.figures[across.value], fy = page.figures[choice.metric] || page.figures[Object.keys(page.figures)[0]];
    var log = fy.log, missing = [], points = [];
    function up(v) { return v === null || (log && v <= 0) ? null : log ? Math.log10(v) : v; }
    page.models.forEach(function (m) {
      if (choice.models.indexOf(m.n) < 0) { return; }
      var a = fx.points[m.n], b = fy.points[m.n];
      if (!a || !b) { missing.push(m.name); return; }
      var y = up(b[0]), low = up(b[1]), high = up(b[2]);
      points.push({ n: m.n, look: m.look, name: m.name, x: a[0], y: y, low: low === null ? y : low, high: high === null ? y : high,
        text: m.name + ": " + fx.label.toLowerCase() + " " + a[3] + ", " + fy.label.toLowerCase() + " " + b[3] });
    });
    var xs = points.map(function (p) { return p.x; }), middle = (Math.min.apply(null, xs) + Math.max.apply(null, xs)) / 2;
    points.forEach(function (p) { p.side = points.length > 12 ? "none" : (p.n ? "" : "low ") + (p.x > middle ? "left" : "right"); });
    var base = points.filter(function (p) { return p.n === 0; });
    var chance = fy.chance !== null && !log ? [{ y: fy.chance }] : [];
    one.view.signal("xscale", fx.scale).signal("yscale", fy.scale).signal("ylog", log);
    one.view.data("points", points).data("front", front(points, fx, fy)).data("base", base).data("chance", chance);
    figure.querySelector("#up-name").textContent = "\u2191 " + fy.label + (log ? ", logarithmic" : "") + better(fy);
    var told = (missing.length ? "Not drawn, for want of a figure: " + missing.join(", ") + ". " : "") +
      "Dashed: the original." + (fx.better === "unknown" || fy.better === "unknown" ? "" : " The stepped line joins models that no other beats in both.") + (chance.length ? " Dotted: chance." : "");
    figure.querySelector("[data-told]").textContent = told;
    one.box.setAttribute("aria-label", fy.label + " against " + fx.label.toLowerCase() + ". " + points.map(function (p) { return p.text; }).join("; "));
    return one.view.runAsync();
  }
  function front(points, fx, fy) {
    if (fx.better === "unknown" || fy.better === "unknown") { return []; }
    var right = fx.better === "higher" ? -1 : 1, up = fy.better === "higher" ? -1 : 1, best = Infinity;
    return points.slice().sort(function (a, b) { return right * (a.x - b.x) || up * (a.y - b.y); }).filter(function (p) {
      if (up * p.y < best) { best = up * p.y; return true; }
      return false;
    });
  }

  document.documentElement.classList.add("charts");
  if (across) { across.addEventListener("change", function () { update("tradeoff"); }); }
  document.addEventListener("choice", function (event) { choice = event.detail; Object.keys(views).forEach(update); });
  if (form) {
    choice.models = Array.from(form.querySelectorAll("input[name=model]:checked")).map(function (b) { return Number(b.value); });
  }
  var places = Array.from(document.querySelectorAll("[data-chart]"));
  Promise.all(places.map(mount)).then(function () {
    document.documentElement.dataset.ready = String(Math.round(performance.now()));
  });
  window.penjing = { views: views };
})();
