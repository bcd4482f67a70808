/** Lines over time on a canvas: one value a second, the newest at the right edge. */

const LEFT = 36, BOTTOM = 20, TOP = 8; // px for what is written beside the lines
const MINUTES = [1, 2, 5, 10, 15, 30, 60, 120, 240];

export class Plot {
  constructor(canvas) {
    this.canvas = canvas;
    this.series = [];
    this.seconds = 600;
    new ResizeObserver(() => this.draw()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
  }

  /** Show series of `{color, temperatures, targets}`, in degrees; a value may be null. */
  show(series, seconds) {
    this.series = series;
    this.seconds = seconds;
    this.draw();
  }

  draw() {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    const scale = devicePixelRatio || 1;
    Object.assign(this.canvas, { width: width * scale, height: height * scale });
    const pen = this.canvas.getContext("2d");
    pen.scale(scale, scale);
    const style = getComputedStyle(this.canvas);
    const color = (name) => style.getPropertyValue(name);
    const top = this.#top();
    const x = (age) => width - (age / this.seconds) * (width - LEFT);
    const y = (value) => height - BOTTOM - (value / top) * (height - BOTTOM - TOP);
    pen.font = `12px ${style.fontFamily}`;
    this.#grid(pen, { x, y, top, width, line: color("--line"), text: color("--soft") });
    pen.lineJoin = "round";
    for (const one of this.series) {
      pen.strokeStyle = color(one.color);
      this.#line(pen, x, y, one.targets ?? [], { dash: [4, 4], alpha: 0.6, width: 1 });
      this.#line(pen, x, y, one.temperatures, { dash: [], alpha: 1, width: 2 });
    }
  }

  /** The top of the scale: a round number over everything. */
  #top() {
    let highest = 45;
    for (const { temperatures, targets = [] } of this.series) {
      for (const value of temperatures) if (value > highest) highest = value;
      for (const value of targets) if (value > highest) highest = value;
    }
    return Math.ceil((highest + 5) / 50) * 50;
  }

  #grid(pen, { x, y, top, width, line, text }) {
    pen.lineWidth = 1;
    pen.strokeStyle = line;
    pen.fillStyle = text;
    const step = top <= 100 ? 25 : top <= 200 ? 50 : 100;
    for (let value = 0; value <= top; value += step) {
      pen.beginPath();
      pen.moveTo(LEFT, y(value));
      pen.lineTo(width, y(value));
      pen.stroke();
      pen.textAlign = "right";
      pen.fillText(`${value}°`, LEFT - 6, y(value) + 4);
    }
    pen.textAlign = "center";
    const every = MINUTES.find((minutes) => this.seconds / 60 / minutes <= 5) ?? 480;
    for (let minutes = every; x(minutes * 60) > LEFT + 24; minutes += every) {
      pen.fillText(`−${minutes} min`, x(minutes * 60), y(0) + 16);
    }
  }

  #line(pen, x, y, values, { dash, alpha, width }) {
    pen.setLineDash(dash);
    pen.globalAlpha = alpha;
    pen.lineWidth = width;
    pen.beginPath();
    let isDown = false;
    values.forEach((value, index) => {
      const known = value !== null && !(dash.length && value <= 0);
      const at = [x(values.length - 1 - index), y(value)];
      if (known && isDown) pen.lineTo(...at);
      else if (known) pen.moveTo(...at);
      isDown = known;
    });
    pen.stroke();
    pen.globalAlpha = 1;
    pen.setLineDash([]);
  }
}
