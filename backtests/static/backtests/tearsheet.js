/* Draws the charts of a run's page and report, and makes tables sortable. */
(() => {
  const cell = (row, column) => {
    const td = row.children[column];
    const text = td.dataset.value ?? td.textContent.replaceAll(",", "");
    const number = parseFloat(text);
    return Number.isNaN(number) || /^\d{4}-\d\d/.test(text) ? text : number;
  };
  const sort = (table, head, column) => {
    const ascending = !head.classList.contains("ct-ascending");
    table.querySelectorAll("th").forEach((th) => th.classList.remove("ct-sorted", "ct-ascending"));
    head.classList.add("ct-sorted");
    head.classList.toggle("ct-ascending", ascending);
    const rows = [...table.tBodies[0].rows].sort((a, b) => {
      const [x, y] = [cell(a, column), cell(b, column)];
      const order = typeof x === "number" && typeof y === "number" ? x - y : String(x).localeCompare(String(y));
      return ascending ? order : -order;
    });
    table.tBodies[0].append(...rows);
  };
  document.querySelectorAll(".ct-sheet table[data-sortable]").forEach((table) => {
    table.querySelectorAll("thead th").forEach((head, column) => head.addEventListener("click", () => sort(table, head, column)));
  });

  const sheet = document.getElementById("ct-sheet");
  if (!sheet) return;
  const series = JSON.parse(document.getElementById("ct-series").textContent);
  const names = { equity: "strategy", benchmark: "benchmark" };
  const color = (name) => getComputedStyle(sheet).getPropertyValue(name).trim();
  const points = (name) => series[name].map(([time, value]) => ({ time, value }));
  const charts = new Map();

  const draw = (box) => {
    const percent = "percent" in box.dataset;
    const chart = LightweightCharts.createChart(box, {
      autoSize: true,
      layout: { background: { color: "transparent" }, textColor: color("--soft"), fontSize: 11, attributionLogo: false },
      grid: { vertLines: { visible: false }, horzLines: { color: color("--line") } },
      rightPriceScale: { borderVisible: false, entireTextOnly: true },
      // without the small spacing a long curve would show its last years only
      timeScale: { borderVisible: false, minBarSpacing: 0.01, timeVisible: intraday() },
      localization: percent
        ? { priceFormatter: (value) => (100 * value).toFixed(1) + "%" }
        : { priceFormatter: (value) => value.toLocaleString("en-US", { maximumFractionDigits: Math.abs(value) < 100 ? 2 : 0 }) },
    });
    const style = { lineWidth: 2, priceLineVisible: false };
    const lines = (box.dataset.lines || "").split(" ").filter((name) => series[name]);
    const legend = "legend" in box.dataset;  // many lines: named above the chart, not at its edge
    lines.forEach((name, index) => {
      chart.addSeries(LightweightCharts.LineSeries, { ...style, color: color(`--c${index}`),
        lastValueVisible: !legend, title: lines.length > 1 && !legend ? names[name] : "" }).setData(points(name));
    });
    if (box.dataset.area) {
      chart.addSeries(LightweightCharts.BaselineSeries, { ...style, baseValue: { type: "price", price: 0 },
        topLineColor: "transparent", topFillColor1: "transparent", topFillColor2: "transparent",
        bottomLineColor: `rgb(${color("--down")})`, bottomFillColor1: `rgba(${color("--down")}, .25)`,
        bottomFillColor2: `rgba(${color("--down")}, .05)` }).setData(points(box.dataset.area));
    }
    chart.timeScale().fitContent();
    charts.set(box.id, chart);
  };

  const intraday = () => {
    const times = series.equity.slice(0, 20).map(([time]) => time);
    return times.length > 1 && Math.min(...times.slice(1).map((time, i) => time - times[i])) < 80000;
  };

  const drawAll = () => {
    charts.forEach((chart) => chart.remove());
    charts.clear();
    sheet.querySelectorAll(".ct-chart").forEach(draw);
    scale();
  };
  // a curve that grew more than tenfold is a hockey stick on a linear scale
  const levels = series.equity.map(([, value]) => value);
  const grew = Math.max(...levels) > 10 * Math.min(...levels) && Math.min(...levels) > 0;
  const scale = () => sheet.querySelectorAll("[data-log]").forEach((box) =>
    charts.get(box.dataset.log).priceScale("right").applyOptions({ mode: box.checked ? 1 : 0 }));
  sheet.querySelectorAll("[data-log]").forEach((box) => { box.checked = grew; });
  drawAll();
  new MutationObserver(drawAll).observe(document.documentElement, { attributes: true, attributeFilter: ["class"] });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
  sheet.querySelectorAll("[data-log]").forEach((box) => box.addEventListener("change", scale));
})();
