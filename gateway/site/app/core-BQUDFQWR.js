import{p as a,q as b}from"./chunk-OPXD76NU.js";import"./chunk-UTUVEFVC.js";import"./chunk-GGPQN7IM.js";import"./chunk-RMS27IXG.js";import"./chunk-WOT6VMZA.js";export{b as Core,a as Ways};
