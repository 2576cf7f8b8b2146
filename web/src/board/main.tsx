import { render } from "preact";
import "../style/base.css";
import "../style/wall.css";
import "../style/board.css";
import { Board } from "./board";

const root = document.getElementById("app");
if (root !== null) render(<Board />, root);
