import { render } from "preact";
import "../style/base.css";
import "../style/wall.css";
import "../style/demo.css";
import { Page } from "./page";

const root = document.getElementById("app");
if (root !== null) render(<Page />, root);
