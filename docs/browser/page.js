// The form: reads two files, paints, shows.
import { Painter } from "./painter.js";

const field = (name) => document.getElementById(name);
let painter = null;

field("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const say = (text) => { field("status").textContent = text; };
  field("paint").disabled = true; // a session runs one picture at a time
  try {
    say("loading the network");
    painter ??= await Painter.load("./models/");
    say("painting");
    const [photo, painting] = await Promise.all(
      ["photo", "painting"].map((name) => createImageBitmap(field(name).files[0])),
    );
    const began = performance.now();
    const image = await painter.paint(photo, painting, {
      size: Number(field("size").value),
      strength: Number(field("strength").value),
    });
    const canvas = field("picture");
    [canvas.width, canvas.height, canvas.hidden] = [image.width, image.height, false];
    canvas.getContext("2d").putImageData(image, 0, 0);
    say(`${image.width} x ${image.height} in ${((performance.now() - began) / 1000).toFixed(1)} s`);
  } catch (error) {
    say(`failed: ${error.message}`);
  } finally {
    field("paint").disabled = false;
  }
});
