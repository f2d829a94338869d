import{r as t,s as e}from"./app-PPV2UODD.js";function r(n){let{state:o}=t(n.status);return t(e)&&o==="online"}export{r as a};
