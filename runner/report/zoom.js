"use strict";
(() => {
  const packed = document.getElementById("plotly");
  const points = document.getElementById("points");
  if (!packed || !points || !("DecompressionStream" in window)) return;

  const unpack = async (element) => {
    const bytes = Uint8Array.from(atob(element.textContent.trim()), (letter) => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(stream).text();
  };

  let ready;
  const plotly = () => (ready ??= (async () => {
    const [code, data] = await Promise.all([unpack(packed), unpack(points)]);
    const script = document.createElement("script");
    script.textContent = code;
    const create = document.createElement;
    document.createElement = (...what) => {
      const made = create.apply(document, what);
      // Plotly brings a style of its map library, which this page's policy forbids and no figure of ours needs.
      if (what[0] === "style") Object.defineProperty(made, "textContent", { set: () => {} });
      return made;
    };
    document.head.append(script);
    document.createElement = create;
    if (!window.Plotly) throw new Error("Plotly did not start");
    return JSON.parse(data);
  })());

  const dark = () => matchMedia("(prefers-color-scheme: dark)").matches;
  const style = (name) => getComputedStyle(document.body).getPropertyValue(name).trim();

  const layout = (figure) => ({
    height: 400,
    margin: { l: 68, r: 14, t: 26, b: 44 },
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { color: style("--ink"), size: 12, family: "system-ui, sans-serif" },
    hovermode: "x unified",
    hoverlabel: { bgcolor: style("--paper"), font: { color: style("--ink") } },
    showlegend: true,
    legend: { orientation: "h", y: 1.1 },
    xaxis: { title: { text: "seconds from t = 0" }, gridcolor: style("--grid"), zeroline: false, ticksuffix: " s" },
    yaxis: { type: figure.log ? "log" : "linear", gridcolor: style("--grid"), zeroline: false, rangemode: "tozero", ticksuffix: figure.suffix },
    shapes: [
      ...figure.bands.map((band) => ({
        type: "rect", yref: "paper", x0: band.x0, x1: band.x1, y0: 0, y1: 1, layer: "below",
        fillcolor: "#f0a92b", opacity: 0.18, line: { width: 0 },
      })),
      ...figure.limits.map((limit) => ({
        type: "line", x0: limit.x0, x1: limit.x1, y0: limit.y, y1: limit.y,
        line: { color: style("--bad"), width: 1.3, dash: "dash" },
      })),
      ...figure.halts.map((at) => ({
        type: "line", yref: "paper", x0: at, x1: at, y0: 0, y1: 1, line: { color: style("--bad"), width: 2 },
      })),
    ],
    annotations: [
      ...figure.bands.map((band) => ({
        x: band.x0, y: 1, yref: "paper", text: band.text, showarrow: false, xanchor: "left", yanchor: "bottom",
        font: { color: style("--amber"), size: 11 },
      })),
      ...figure.limits.map((limit) => ({
        x: limit.x1, y: figure.log ? Math.log10(limit.y) : limit.y, text: limit.text, showarrow: false, xanchor: "right", yanchor: "bottom",
        font: { color: style("--bad"), size: 11 },
      })),
    ],
  });

  const traces = (figure) => figure.lines.map((line) => ({
    type: "scatter", mode: line.x.length > 1 ? "lines" : "markers", name: line.name, x: line.x, y: line.y,
    connectgaps: false, hovertemplate: `%{y:.4~g}${figure.suffix}`,
    line: { color: dark() ? style(`--on-${line.colour.slice(1)}`) || line.colour : line.colour, width: 1.7, dash: line.dash },
  }));

  const open = async (box) => {
    const button = box.querySelector("button.zoom");
    const picture = box.querySelector(".picture");
    if (box.dataset.zoomed) return;
    box.dataset.zoomed = "yes";
    button.textContent = "unpacking …";
    try {
      const figure = (await plotly())[box.id];
      const place = document.createElement("div");
      place.className = "zoomed";
      picture.hidden = true;
      picture.after(place);
      await window.Plotly.newPlot(place, traces(figure), layout(figure), {
        responsive: true, displaylogo: false, scrollZoom: false,
        modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"],
      });
      button.textContent = "Back to the picture";
    } catch (problem) {
      picture.hidden = false;
      button.textContent = `Zoom failed: ${problem.message}`;
    }
  };

  const close = (box) => {
    const place = box.querySelector(".zoomed");
    if (!place) return;
    window.Plotly.purge(place);
    place.remove();
    box.querySelector(".picture").hidden = false;
    box.querySelector("button.zoom").textContent = "Zoom";
    delete box.dataset.zoomed;
  };

  for (const box of document.querySelectorAll("figure.zoomable")) {
    const button = box.querySelector("button.zoom");
    button.hidden = false;
    button.addEventListener("click", () => (box.querySelector(".zoomed") ? close(box) : open(box)));
    const picture = box.querySelector(".picture");
    picture.classList.add("clickable");
    picture.addEventListener("click", () => open(box));
  }
})();
