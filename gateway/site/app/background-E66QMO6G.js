"use strict";(()=>{var c=(o,e)=>()=>(o&&(e=o(o=0)),e);var m,T,E,R,A,f,h,x=c(()=>{"use strict";m=class extends Error{constructor(n,r,t=0){super(r);this.code=n;this.tag=t}},T=class extends Error{code=25},E=class extends Error{},R=class extends Error{},A=class extends Error{constructor(n,r){super(r||`refused with code ${n}`);this.code=n}},f=class extends Error{constructor(n,r,t,a,s){super(a||t||`HTTP status ${n}`);this.status=n;this.code=r;this.title=t;this.detail=a;this.retryAfterS=s}get final(){return this.status>=400&&this.status<500&&this.status!==408&&this.status!==429}},h=class extends Error{}});function Q(o){return o<=J&&o>=-J?Number(o):o}function Z(o){let e=new k;return e.write(o),e.take()}function ee(o){let e=new g(o),n=e.read();if(!e.isAtEnd)throw new p("more than one value");return n}var p,Ce,Te,Pe,J,k,g,j=c(()=>{"use strict";p=class extends Error{},Ce=32,Te=new TextEncoder,Pe=new TextDecoder("utf-8",{fatal:!0,ignoreBOM:!0}),J=BigInt(Number.MAX_SAFE_INTEGER),k=class{bytes=new Uint8Array(256);view=new DataView(this.bytes.buffer);at=0;take(){return this.bytes.slice(0,this.at)}raw(e){this.room(e.length),this.bytes.set(e,this.at),this.at+=e.length}array(e){this.head(e,144,15,0,220)}write(e){if(typeof e=="number")this.int(e);else if(typeof e=="bigint")this.int64(e);else if(typeof e=="string"){let n=Te.encode(e);this.head(n.length,160,31,217,218),this.raw(n)}else if(typeof e=="boolean")this.byte(e?195:194);else if(e===null)this.byte(192);else if(e instanceof Uint8Array)this.head(e.length,0,-1,196,197),this.raw(e);else if(e instanceof Map){this.head(e.size,128,15,0,222);for(let[n,r]of e)this.write(n),this.write(r)}else{let n=e;this.array(n.length);for(let r of n)this.write(r)}}room(e){if(this.at+e<=this.bytes.length)return;let n=new Uint8Array(Math.max(this.at+e,this.bytes.length*2));n.set(this.bytes),this.bytes=n,this.view=new DataView(n.buffer)}byte(e){this.room(1),this.bytes[this.at++]=e}put(e,n,r){this.room(1+r),this.bytes[this.at++]=e,r===1?this.view.setUint8(this.at,n):r===2?this.view.setUint16(this.at,n):this.view.setUint32(this.at,n),this.at+=r}head(e,n,r,t,a){e<=r?this.byte(n|e):t&&e<256?this.put(t,e,1):e<65536?this.put(a,e,2):this.put(a+1,e,4)}int(e){if(!Number.isSafeInteger(e))throw new p(`${e} is no whole number`);e>=0?e<128?this.byte(e):e<256?this.put(204,e,1):e<65536?this.put(205,e,2):e<4294967296?this.put(206,e,4):this.int64(BigInt(e)):e>=-32?this.byte(e&255):e>=-128?this.put(208,e&255,1):e>=-32768?this.put(209,e&65535,2):e>=-2147483648?this.put(210,e>>>0,4):this.int64(BigInt(e))}int64(e){this.room(9),this.bytes[this.at]=e<0n?211:207,e<0n?this.view.setBigInt64(this.at+1,e):this.view.setBigUint64(this.at+1,e),this.at+=9}},g=class{bytes;view;at=0;constructor(e){this.bytes=e,this.view=new DataView(e.buffer,e.byteOffset,e.byteLength)}get isAtEnd(){return this.at>=this.bytes.length}array(){let e=this.bytes[this.at]??0;return e>>4===9?(this.at++,e&15):e!==220&&e!==221?-1:(this.at++,this.unsigned(e===220?2:4))}slice(){let e=this.at;return this.value(!1,0),this.bytes.subarray(e,this.at)}read(){return this.value(!0,0)}value(e,n){if(n>Ce)throw new p("nested too deeply");let r=this.unsigned(1);if(r<128)return r;if(r<144)return this.map(r&15,e,n);if(r<160)return this.list(r&15,e,n);if(r<192)return this.text(r&31,e);if(r>=224)return r-256;switch(r){case 192:return null;case 194:case 195:return r===195;case 196:case 197:case 198:return this.take(this.unsigned(1<<r-196));case 202:case 203:return this.skip(r===202?4:8),NaN;case 204:case 205:case 206:return this.unsigned(1<<r-204);case 207:return Q(this.view.getBigUint64(this.skip(8)));case 208:return this.view.getInt8(this.skip(1));case 209:return this.view.getInt16(this.skip(2));case 210:return this.view.getInt32(this.skip(4));case 211:return Q(this.view.getBigInt64(this.skip(8)));case 217:case 218:case 219:return this.text(this.unsigned(1<<r-217),e);case 220:case 221:return this.list(this.unsigned(r===220?2:4),e,n);case 222:case 223:return this.map(this.unsigned(r===222?2:4),e,n);default:throw new p(`0x${r.toString(16)} is not used here`)}}skip(e){let n=this.at;if(n+e>this.bytes.length)throw new p("cut off");return this.at=n+e,n}take(e){let n=this.skip(e);return this.bytes.subarray(n,this.at)}unsigned(e){let n=this.skip(e);return e===1?this.view.getUint8(n):e===2?this.view.getUint16(n):this.view.getUint32(n)}text(e,n){let r=this.take(e);if(!n)return"";try{return Pe.decode(r)}catch{throw new p("text that is no UTF-8")}}list(e,n,r){let t=[];for(let a=0;a<e;a++){let s=this.value(n,r+1);n&&t.push(s)}return t}map(e,n,r){let t=new Map;for(let a=0;a<e;a++){let s=this.value(n,r+1),i=this.value(n,r+1);n&&t.set(s,i)}return t}}});var ne,re=c(()=>{"use strict";ne={8:"same",32:"later",33:"later",34:"later"}});var te,oe=c(()=>{"use strict";te=`
a i 1 9007199254740991
b x 0 32
c s 0 100
d i 0 9007199254740991
e i 0 65535
f x 0 40
g s 0 120
h s 0
i e 1-2 4-4 8-8
j i -9223372036854775808 9223372036854775807
k i 1 9223372036854775807
l o 0-5
m r StreamState
n a 0 - m
o o 0-14
p b
q i 1 255
r s 1 2048
s r Cursor
t a 0 256 s
u i 0 3600
v e 0-5
w s 0 64
x w
y i 1 4294967295
z s 1 4000
A s 1 16
B a 0 20 a
C a 0 8 a
D i 0 9223372036854775807
E i 0 1099511627776
F r Limits
G a 0 - j
H u b
I r SpaceState
J a 0 - I
K r Invitation
L a 0 - K
M a 0 - a
N r Slow
O a 0 - N
P r Attachment
Q a 0 8 P

r~Attachment 0 id:a hash:b media_type:c size:d width:e= height:e= placeholder:f= name:g=
r~Cursor 0 stream:a seq:d
r~Invitation 0 space:a name:h role:i by:a by_name:h=
r~Limits 0 message_bytes_max:j in_flight_max:j follows_max:j
r~Slow 0 stream:a seconds:k
r~SpaceState 0 space:a kind:l name:h role:i streams:n
r~StreamState 0 stream:a kind:o name:h head:d read_upto:d may_write:p
c~Hello 1 version:q token:r device:a cursors:t= epoch:d= clock_ms:d= heartbeat_s:u= link:v= software:w= schema:q=2
cBye 3
cMutate 6 number:a operation:x
cFollow 7 id:y stream:a after:d
cUnfollow 8 id:y stream:a
cOverview 9 id:y
oSay 1 stream:a text:z
oEdit 2 stream:a target:a text:z
oDelete 3 stream:a target:a
oReact 4 stream:a target:a emoji:A on:p=true
oMarkRead 5 stream:a seq:a
oPost 17 stream:a text:z reply_to:d= mentions:B= attachments:C=
f~Welcome 32 version:q session:j user:a inbox:a last_number:D epoch:d server_ms:d heartbeat_s:j expires:E limits:F
f~Done 33 number:a value:j
f~DoneRun 34 first:a values:G
f~Event 48 stream:a seq:a author:d at:E body:H
f~Followed 49 id:D stream:a upto:d live:p
f~Spaces 53 id:y inbox_upto:d spaces:J invitations:L= blocked:M= slow:O=
b~Said 1 text:z
b~Edited 2 target:a text:z
b~Deleted 3 target:a
b~Reacted 4 target:a emoji:A on:p=true
b~Posted 6 text:z reply_to:D= mentions:B= edited:p= attachments:Q=`});function w(){return P||(P={shapes:new Map,byName:new Map,byTag:{r:new Map,c:new Map,o:new Map,f:new Map,b:new Map}},q(te),P)}function q(o){let{shapes:e,byName:n,byTag:r}=w(),[t="",a=""]=o.trim().split(`

`);for(let s of t.split(`
`)){let[i="",...d]=s.split(" ");e.set(i,d.flatMap(De))}for(let s of a.split(`
`)){let[i="",d,...l]=s.split(" "),u=i[1]!=="~",b={name:i.slice(u?1:2),tag:Number(d),strict:u,fields:l.map(S=>{let[,G="",W="",_e]=/^(\w+):(\w+)(?:=(.*))?$/.exec(S)??[];return{name:G,shape:W,fallback:_e}})};n.set(b.name,b),r[i[0]].set(b.tag,b)}}function De(o){let[e,n]=/^\d+-\d+$/.test(o)?o.split("-").map(Number):[];return n===void 0?[o]:Array.from({length:n-e+1},(r,t)=>String(e+t))}function v(o){let e=new k;return se(e,o),e.take()}function se(o,e){let n=w().byName.get(e.type);if(!n)throw new TypeError(`there is no ${e.type}`);o.array(n.fields.length+1),o.write(n.tag),ie(o,n,e)}function ie(o,e,n){for(let r of e.fields){let t=n[r.name],a=t===void 0&&r.fallback!==void 0?le(r):t;if(a===void 0)throw new TypeError(`${e.name}: ${r.name} is missing`);de(o,r.shape,a)}}function de(o,e,n){let[r,t,,a]=w().shapes.get(e);if(r==="a"){let s=n;o.array(s.length);for(let i of s)de(o,a??"",i)}else if(r==="r"){let s=w().byName.get(t);o.array(s.fields.length),ie(o,s,n)}else r==="u"?se(o,n):r==="w"?o.raw(n):o.write(n)}function le(o){let e=w().shapes.get(o.shape)[0];return o.fallback?JSON.parse(o.fallback):e==="s"?"":e==="b"?!1:e==="a"?[]:e==="w"?Ne:e==="x"?new Uint8Array:0}function N(o){try{return ue("f",o)}catch(e){if(e instanceof m&&e.code===2)return{type:"UnknownFrame",tag:e.tag};if(!(e instanceof M))throw e;let n=new g(o);n.array();let[,r,t,a,s]=[0,0,0,0,0].map(()=>n.read());return n.array(),{type:"UnknownEvent",stream:r,seq:t,author:a,at:s,tag:n.read()}}}function ye(o){let e=ue("o",o);for(let[n,r]of Object.entries(e))if(typeof r=="string"&&r.includes("\0"))throw new m(1,`\`${n}\` contains U+0000`);return e}function ue(o,e){let n=new g(e);try{let r=ce(n,o);if(!n.isAtEnd)throw new y("bytes follow it");return r}catch(r){throw r instanceof y||r instanceof p||r instanceof M&&o==="b"?Ie(o,e,r):r}}function ce(o,e){let n=o.array();if(n<1)throw new y("a message is an array that begins with its tag");let r=o.read(),t=w().byTag[e].get(r);if(!t&&e==="b")throw typeof r!="number"||!Number.isInteger(r)?new y("a tag is a whole number"):new M(`tag ${r}`);if(!t)throw new y("its tag is not known");return{type:t.name,...me(o,t,n-1)}}function me(o,e,n){if(n<0)throw new y(`${e.name}: no array`);let r={};if(e.fields.forEach((t,a)=>{if(a<n)try{r[t.name]=pe(o,t.shape)}catch(s){throw s instanceof y&&(s.message=`${t.name}: ${s.message}`),s}else{if(t.fallback===void 0)throw new y(`${t.name} is missing`);r[t.name]=le(t)}}),e.strict&&n>e.fields.length)throw new y(`${e.name} has ${e.fields.length} fields, not ${n}`);for(let t=e.fields.length;t<n;t++)o.slice();return r}function pe(o,e){let n=w().shapes.get(e),[r,t,a,s]=n;if(r==="w")return o.slice();if(r==="u")return ce(o,t);if(r==="r")return me(o,w().byName.get(t),o.array());if(r==="a"){let d=o.array();if(d<0)throw new y("an array");return D(d,t,a),Array.from({length:d},()=>pe(o,s))}let i=o.read();if(r==="s"){if(typeof i!="string")throw new y("text");let d=0;for(let l of i)d++;D(d,t,a)}else if(r==="b"){if(typeof i!="boolean")throw new y("true or false")}else if(r==="x"){if(!(i instanceof Uint8Array))throw new y("bytes");D(i.length,t,a)}else{if(typeof i!="bigint"&&!Number.isInteger(i))throw new y("a whole number");if(r==="i")D(i,t,a);else if(!n.includes(String(i),1))return Oe(r,i)}return i}function D(o,e,n){if(o<ae(e)||n!==void 0&&n!=="-"&&o>ae(n))throw new y(`${e} to ${n??"any"}`)}function ae(o){let e=Number(o);return Number.isSafeInteger(e)?e:BigInt(o)}function Oe(o,e){if(o==="e"||o==="c"&&e<0)throw new y("none of its values");return o==="o"?0:e>=4e3?4011:1}function Ie(o,e,n){let r=0;try{let a=new g(e);a.slice();let s=new g(e);if(!a.isAtEnd||s.array()<1||!Number.isInteger(r=s.read()))throw new p(n.message)}catch{return new m(4e3,`a frame is an array that begins with its tag: ${n.message}`)}return w().byTag[o].has(r)?new m(1,n.message,r):new m(2,`tag ${String(r)} is not known`,r)}function be(o,e=256){let n=t=>new m(4e3,t),r=new g(o);try{let t=r.array(),a=o[r.at]??0;if(t<1||r.isAtEnd)throw n("a message is a frame, or an array of frames");if(a>>4!==9&&a!==220&&a!==221)return[o];if(t>e)throw n(`${t} frames in a message; at most ${e} are allowed`);let s=Array.from({length:t},()=>r.slice());if(!r.isAtEnd)throw n("bytes follow the message");return s}catch(t){throw t instanceof p?n(t.message):t}}function fe(o){if(o.length===1)return o[0];let e=new k;e.array(o.length);for(let n of o)e.raw(n);return e.take()}var P,Ne,y,M,_=c(()=>{"use strict";x();j();oe();Ne=Uint8Array.of(128);y=class extends Error{},M=class extends Error{}});function Fe(o){let e={...Ue,...o};if(!e.access_token)throw new f(200,"","The server's answer cannot be read","it has no access token",0);return e}var Le,Ue,O,I,he=c(()=>{"use strict";x();Le=2e4,Ue={access_token:"",expires_at:0,refresh_token:"",user:0,device:0,inbox:0,name:"",display_name:""},O=class{constructor(e,n){this.fetcher=n;this.url=e.replace(/\/+$/,"")}url;async ask(e,n,r,t=""){let a={};r!==void 0&&(a["content-type"]="application/json"),t&&(a.authorization=`Bearer ${t}`);let s=new AbortController,i=setTimeout(()=>s.abort(),Le);try{let d={method:e,headers:a,signal:s.signal,cache:"no-store",credentials:"omit"},l=await this.fetcher(`${this.url}/api/v1/${n}`,r===void 0?d:{...d,body:JSON.stringify(r)}),b=await(l.headers.get("content-type")==="application/octet-stream"?l.arrayBuffer():l.json().catch(()=>null));if(l.ok)return b;let S=Number(l.headers.get("retry-after"))||0;throw new f(l.status,String(b?.code??""),String(b?.title??""),String(b?.detail??""),S)}catch(d){throw d instanceof f?d:new h(`${this.url}: ${d.message}`)}finally{clearTimeout(i)}}};I=class{constructor(e,n,r){this.account=e;this.login=n;this.kept=r}renewing;renew(){return this.renewing??=this.exchange("auth/refresh",{refresh_token:this.login.refresh_token}).finally(()=>this.renewing=void 0)}forkDevice(e){return this.exchange("devices",{name:e},this.login.access_token)}async exchange(e,n,r=""){let t=Fe(await this.account.ask("POST",e,n,r)),a=Object.fromEntries(Object.entries(t).filter(([,s])=>s));this.login={...this.login,...a},this.kept(this.login)}async ask(e,n,r){try{return await this.account.ask(e,n,r,this.login.access_token)}catch(t){if(!(t instanceof f)||t.status!==401||t.code===String(21))throw t}return await this.renew(),this.account.ask(e,n,r,this.login.access_token)}}});function K(o,e,n=0){return{key:o,operation:e,number:n,noted:n>0,weight:0}}var He,U,ge=c(()=>{"use strict";x();He=5e4;U=class{waiting;sent=new Map;bounced=new Set;sentBytes=0;nextNumber=0;constructor(e){this.waiting=[...e]}get length(){return this.waiting.length+this.sent.size}get inFlight(){return this.sent.size-this.bounced.size}get mayRewind(){return this.bounced.size>0&&this.inFlight===0}get lowest(){return(this.sent.values().next().value??this.waiting[0])?.number??0}checkRoom(){if(this.length>=He)throw new T(`${this.length} mutations have no outcome yet, and no more are kept`)}append(e){this.waiting.push(e)}welcomed(e){this.cut();let n=e+1,r=!1;for(let t of this.waiting){if(t.number>0&&t.number<=e)continue;r||=t.number===0;let a=r?0:n;t.number!==a&&(t.number=a,t.noted=!1),r||n++}this.nextNumber=n}take(e,n,r,t,a){let s=[],i=this.sent.keys().next().value??0;for(;this.waiting.length&&n>=0&&!this.bounced.size&&s.length<r;){let d=this.waiting[0],l=d.number||this.nextNumber;if(i||=l,l>=i+e)break;let u=a(d,s.at(-1));if(n-=u,s.length&&n<0||this.sent.size&&this.sentBytes+u>t)break;this.waiting.shift(),d.number||(d.number=l,this.nextNumber++),d.weight=u,this.sent.set(l,d),this.sentBytes+=u,s.push(d)}return s}settle(e){let n=this.sent.get(e);return n&&(this.sent.delete(e),this.bounced.delete(e),this.sentBytes-=n.weight),n}bounce(e){this.sent.has(e)&&this.bounced.add(e)}rewind(){this.waiting.unshift(...this.sent.values()),this.sent.clear(),this.sentBytes=0,this.bounced.clear()}cut(){this.rewind()}}});function we(){return Be}var Be,xe=c(()=>{"use strict"});function $e(o){return qe.includes(o[1])}function X(o,e){return $e(o)?e:o[1]===18&&e%8<=2?Math.floor(e/8):0}var Ve,Ge,We,je,qe,F,z=c(()=>{"use strict";j();Ve=4096,Ge=30*86400,We=256,je=1e4,qe=[1,2,3,4,17];F=class o{constructor(e){this.disk=e}device=0;epoch=0;lastNumber=0;cursors=new Map;mutations=new Map;settled=new Map;failures=new Map;notes=new Map;written=new Set;unclaimed=new Map;keeper;nextKey=1;serial=0;dirty=new Map;writing;onTrouble=async()=>!1;static async open(e){let n=new o(e);for(let[r,t]of await e.load())n.take(r,ee(t));return n}take(e,n){let[r,t=""]=e.split("/"),a=n,s=Number(t);r==="f"?[this.device,this.epoch,this.lastNumber,this.nextKey,this.serial]=a:r==="c"?this.cursors.set(s,n):r==="m"?this.mutations.set(s,{key:s,operation:a[0],number:a[1],nonce:a[2]}):r==="s"?this.settled.set(s,{key:s,operation:a[0],number:a[1],echo:a[2],at:a[3]}):r==="u"?this.failures.set(s,{key:s,operation:a[0],code:a[1],detail:a[2],at:a[3]}):r==="n"?(this.notes.set(e.slice(2),n),this.written.add(e.slice(2))):this.unclaimed.set(e,n)}claim(e){this.keeper=e;let n=new Map(this.unclaimed);return this.unclaimed.clear(),n}async durable(){for(;this.writing||this.dirty.size;)await(this.writing??=this.flush())}async flush(){await Promise.resolve();let e=this.dirty;this.dirty=new Map;try{await this.disk.write(new Map([...e].map(([n,r])=>[n,r&&Z(r())])))}catch(n){for(let[r,t]of e)this.dirty.has(r)||this.dirty.set(r,t);if(!await this.onTrouble(n))throw n}finally{this.writing=void 0}this.dirty.size&&this.begin()}begin(){this.writing||(this.writing=this.flush()).catch(()=>{})}put(e,n){this.dirty.set(e,n),this.begin()}async close(){try{await this.durable()}finally{this.disk.close()}}putFacts(){this.put("f",()=>[this.device,this.epoch,this.lastNumber,this.nextKey,this.serial])}bind(e){if(this.device===e)return;let n=[...this.mutations.values()].some(r=>r.number);this.note("heir",n?this.noted("heir")??this.device:void 0);for(let r of this.settled.values())this.putSettled({...r,number:0});this.device=e,this.lastNumber=0,this.putFacts()}beginEpoch(e){if(this.epoch!==e){if(this.epoch){for(let n of this.cursors.keys())this.put(`c/${n}`,null);this.cursors.clear(),this.keeper?.clear(!0);for(let n of this.settled.values())n.echo&&this.putSettled({...n,echo:0})}this.epoch=e,this.putFacts()}}append(e,n){let r={key:this.nextKey++,operation:e,number:0,nonce:n};return this.putFacts(),this.keep(r),r.key}keep(e){this.mutations.set(e.key,e),this.put(`m/${e.key}`,()=>[e.operation,e.number,e.nonce])}number(e){for(let[n,r]of e)this.keep({...this.mutations.get(n),number:r}),this.lastNumber=Math.max(this.lastNumber,r);this.putFacts()}settle(e,n){for(let{key:r,code:t,value:a,detail:s}of e){let i=this.mutations.get(r);if(!i)continue;this.mutations.delete(r),this.put(`m/${r}`,null);let{operation:d,number:l}=i;t===0?this.putSettled({key:r,operation:d,number:l,echo:X(d,a),at:n}):(this.failures.set(r,{key:r,operation:d,code:t,detail:s,at:n}),this.put(`u/${r}`,()=>[d,t,s,n]))}this.prune(n)}putSettled(e){this.settled.set(e.key,e),this.put(`s/${e.key}`,()=>[e.operation,e.number,e.echo,e.at])}heardEcho(e){let n=this.settled.get(e);n?.echo&&this.putSettled({...n,echo:0})}prune(e){for(let[n,r]of this.settled){if(!(this.settled.size>Ve||r.at<e-Ge&&this.settled.size>We))break;this.settled.delete(n),this.put(`s/${n}`,null)}for(;this.failures.size>je;)this.discard(this.failures.keys().next().value)}unapplied(){return[...this.failures.values()]}discard(e){this.failures.delete(e),this.put(`u/${e}`,null)}freezeAgain(e){for(let[n,r]of e)this.keep({...this.mutations.get(n),operation:r,number:0})}advance(e,n){(this.cursors.get(e)??-1)<n&&this.setCursor(e,n)}setCursor(e,n){this.cursors.set(e,n),this.put(`c/${e}`,()=>n)}dropCursor(e){this.cursors.delete(e)&&this.put(`c/${e}`,null)}note(e,n){if(n===void 0){this.notes.delete(e),this.written.delete(e),this.put(`n/${e}`,null);return}if(this.written.add(e),typeof n=="function"){this.put(`n/${e}`,n);return}this.notes.set(e,n),this.put(`n/${e}`,()=>n)}noted(e){return this.notes.get(e)}}});function Je(o){return v({type:"Mutate",number:o.number,operation:o.operation})}var Xe,ze,Ye,Qe,H,Re=c(()=>{"use strict";_();x();ge();xe();z();Xe=2*4096,ze=64,Ye=12;Qe={weigh:o=>o.operation.length+Ye,wrap:o=>o.map(Je)},H=class{constructor(e,n,r,t,a){this.store=e;this.wall=n;this.spread=r;this.wake=t;this.after=a;this.ledger=this.begin(),this.told=e.noted("outcomes")??[]}ledger;overlay;parcels=Qe;waiters=new Map;told;decidedUpto=0;futile=0;holdMs=0;window=1;windowMax=1;answers=0;decided=()=>{};begin(){return new U([...this.store.mutations.values()].map(e=>K(e.key,e.operation,e.number)))}get inFlight(){return this.ledger.inFlight}get pending(){return this.store.mutations.size}submit(e,n){let r=[...this.store.mutations.values()].find(i=>n&&i.nonce===n),t=this.told.find(i=>n&&i[0]===n);if(t){let[,i,d,l]=t;return{key:0,value:i?Promise.reject(new A(i,l)):Promise.resolve(d)}}let a=r?.key??this.keep(e,n),s=new Promise((i,d)=>{let l=this.waiters.get(a)??[];this.waiters.set(a,[...l,{resolve:i,reject:d}])});return{key:a,value:s}}keep(e,n){let r=v(e);ye(r),this.ledger.checkRoom();let t=this.store.append(r,n);return this.ledger.append(K(t,r)),this.overlay?.appended(t,r),this.wake(),t}get given(){return this.store.lastNumber}get isLearning(){return this.ledger.lowest>0&&this.ledger.lowest<=this.decidedUpto}welcome(e,n){if(this.given>0&&this.given<e)throw new R(`the server has decided ${e} mutations, and this store has numbered ${this.given}`);this.decidedUpto=e,this.window=this.windowMax=Math.max(1,n),this.ledger.welcomed(e)}cut(){this.ledger.cut(),this.holdMs=0}take(e,n){let r=this.ledger.take(Math.floor(this.window),Math.min(e,4096),n,Xe,this.parcels.weigh),t=r.filter(a=>!a.noted);t.length&&this.store.number(t.map(a=>[a.key,a.number]));for(let a of t)a.noted=!0;return this.parcels.wrap(r)}commit(e,n){let r=n.map((t,a)=>({one:this.ledger.settle(e+a),value:t}));this.settle(r.flatMap(({one:t,value:a})=>t?[{key:t.key,code:0,value:a,detail:""}]:[]))}settle(e){e.length&&(this.decide(e),this.window=Math.min(this.windowMax,this.window+e.length/this.window)),this.futile=0,this.answered()}decide(e){let n=e.map(r=>this.store.mutations.get(r.key));this.store.settle(e,Math.floor(this.wall()/1e3));for(let[r,{key:t,code:a,value:s,detail:i}]of e.entries()){let d=n[r];this.overlay?.settled(t,a===0?X(d.operation,s):0),d.nonce&&(this.told=[...this.told,[d.nonce,a,s,i]].slice(-ze),this.store.note("outcomes",this.told));for(let l of this.waiters.get(t)??[])a===0?l.resolve(s):l.reject(new A(a,i));this.waiters.delete(t),this.decided(t,d.operation,a,s,i)}}answered(){this.answers++,this.ledger.mayRewind&&we().rewindLater(this),this.wake()}}});var Ze,en,nn,rn,tn,ve,B,Ee=c(()=>{"use strict";_();Ze=[9,10,6],en=[19,21,20,24,22],nn=18,rn=4,tn="doubted",ve="left spaces",B=class{constructor(e,n,r){this.store=e;this.questions=n;this.wake=r;let t=e.noted("spaces");this.spaces=t&&N(t),this.due=!!e.noted("overview due")}spaces;concerned;changed=()=>{};due;asked=!1;get isComplete(){return!this.due&&!this.asked}welcome(){this.due||=!this.spaces}cut(){this.due||=this.asked,this.asked=!1}want(){this.due||this.store.note("overview due",!0),this.due=!0,this.wake()}askWhatIsDue(){!this.due||this.asked||(this.due=!1,this.asked=!0,this.questions.wonder(e=>({type:"Overview",id:e}),e=>{this.asked=!1,e.type==="Spaces"&&this.hearSpaces(e)}))}hearSpaces(e){this.spaces=e,this.store.note("spaces",v(e)),this.concerned?.told(e),this.due||this.store.note("overview due",void 0),this.changed(),this.wake()}hear(e,n){let r=e.type==="Event"?e.body:void 0;(!n||r?.type==="ConflictNoted")&&this.doubt(),r?.type==="SpaceLeft"&&this.leave(r.space),(!n||r&&["SpaceEntered","SpaceLeft","Invited","PersonBlocked"].includes(r.type))&&this.want(),this.wake()}decided(e,n,r){if(n!==0)return;let t=e[1]??0;Ze.includes(t)?this.want():(en.includes(t)||t===nn&&r%8>=rn)&&this.doubt()}doubt(){this.concerned?this.concerned.doubt():this.store.note(tn,!0)}leave(e){this.concerned?this.concerned.leave(e):this.store.note(ve,[...this.store.noted(ve)??[],e])}}});var on,an,sn,dn,ln,V,ke=c(()=>{"use strict";_();x();on=4*1024,an=1e3,sn=3e4,dn=2e3,ln=5e3,V=class{constructor(e,n,r,t,a=new AbortController().signal){this.fetcher=n;this.credentials=r;this.durable=t;this.over=a;this.url=e.replace(/\/+$/,"")}url;async round(e,n){this.credentials.login.expires_at*1e3-Date.now()<ln&&await this.renew();let r=v({type:"Sync",epoch:e,clock_ms:Date.now(),schema:5,bytes_max:on}),t=fe([r,...n]),a=await this.post(t);if(a.status===401&&(await this.renew(),a=await this.post(t)),!a.ok)throw new f(a.status,"","","",a.retryAfterS);let[s,...i]=be(a.bytes,an).map(d=>N(d));if(s?.type!=="Welcome")throw new m(4e3,`${s?.type} where Welcome belongs`);return[s,i]}async post(e){let n=new AbortController,r=()=>n.abort(),t=setTimeout(r,sn);this.over.addEventListener("abort",r);try{if(this.over.aborted)throw new h("it is over");let s={method:"POST",headers:{authorization:`Bearer ${this.credentials.login.access_token}`,"content-type":"application/msgpack"},body:e,signal:n.signal,cache:"no-store",credentials:"omit"},i=await this.fetcher(`${this.url}/api/v1/sync`,s),{ok:d,status:l}=i;return{ok:d,status:l,retryAfterS:Number(i.headers.get("retry-after"))||0,bytes:new Uint8Array(await i.arrayBuffer())}}catch(a){throw new h(a.message)}finally{clearTimeout(t),this.over.removeEventListener("abort",r)}}async renew(){let e,n=()=>{},r=new Promise((t,a)=>{n=()=>void(e=setTimeout(()=>a(new h("it is over")),dn)),this.over.addEventListener("abort",n),this.over.aborted&&n()});try{await Promise.race([this.credentials.renew(),r]),await this.durable()}finally{clearTimeout(e),this.over.removeEventListener("abort",n)}}}});var Se,Ae=c(()=>{"use strict";Se=`
R i -1099511627776 1099511627776
S o 0-4
T i 0 255
U i 1 2147483647
V a 0 - h
W o 0-7
X r HeldReason
Y a 0 - X
Z o 0-8
aa i 0 100
ab i 0 101
ac a 0 - aa
ad s 1 60
ae s 0 500
af o 0-3
ag a 1 256 x
ah c 0-4 8-10 16-21 24-29 32-35 4000-4014
ai s 0 400
aj i 0 1000
ak x 0
al x 1 64
am i -9007199254740991 9007199254740991
an a 0 512 am
ao i 1 256
ap i 1 200
aq s 1 40
ar i 1 9007199254740735
as r Run
at a 1 256 as
au i 256 65536
av i 1 100
aw r Sent
ax a 0 256 aw
ay a 0 20 ad
az i 0 10
aA s 2 35
aB a 0 10 aA
aC i 0 16777215
aD a 0 7 aC
aE i 1 40
aF x 0 512
aG s 1 200
aH x 0 48
aI i 1 50
aJ i 0 2147483647
aK i 256 49152
aL s 1 80
aM s 0 4096
aN i 0 15
aO a 1 19 a
aP e 1-3
aQ r Held
aR a 0 500 aQ
aS i 0 21600
aT i 1 5
aU r Level
aV a 0 8 aU
aW s 0 35
aX x 2 61440
aY i 0 4294967295
aZ a 0 256 D
ba r PageEvent
bb a 0 - ba
bc r Member
bd a 0 - bc
be r RecordItem
bf a 0 - be
bg r Conflict
bh a 0 - bg
bi r UnappliedItem
bj a 0 - bi
bk r KeptVersion
bl a 0 - bk
bm r Settlement
bn a 0 - bm
bo a 0 - aQ
bp r ReportItem
bq a 0 - bp
br r MentorFound
bs a 0 - br
bt r MentorshipItem
bu a 0 - bt
bv r HeldItem
bw a 0 - bv
bx r DocumentVersion
by a 0 - bx
bz r FoundMessage
bA a 0 - bz
bB r StreamInfo
bC a 0 - bB
bD o 0-10
bE s 0 200
bF a 1 100 a
bG r Trusted
bH a 0 512 bG
bI a 1 256 a

rChangeItem 0 key:a later:R fields:x= base:d= gone:p=
r~Conflict 0 conflict:a stream:a entity:q key:a user:a state:S at:E version:d mine:x theirs:x common:x present:x gone:p= by:d= choice:T=
r~DocumentVersion 0 version:a generation:U upto:d name:h by:d at:E size:D
r~FoundMessage 0 space:a stream:a seq:a author:d name:h at:E whole:p excerpt:V
r~Held 0 stream:a rank:T=
r~HeldItem 0 held:a form:S state:W user:a at:E reasons:Y text:h= by:h= degraded:h= space:d= stream:d= seq:D= appeal:h= appealed:E=
r~HeldReason 0 harm:Z percent:aa
r~KeptVersion 0 place:a version:d kept:l author:d at:E fields:x
r~Level 0 harm:Z hold:ab hide:ab
r~Member 0 user:a role:i display_name:h name:h=
r~MentorFound 0 user:a name:h display_name:h percent:aa factors:ac why:h about:h= free:D=1 space:d=
r~MentorshipItem 0 mentorship:a mentor:a learner:a other_name:h state:W subject:ad words:ae at:E community:d= space:d= conversation:d= records:d= said:p= other_said:p=
r~PageEvent 0 seq:a author:d at:E body:x
r~RecordItem 0 entity:q key:a version:d fields:x= gone:p=
r~ReportItem 0 report:a about:af user:a reason:Z state:af at:E times:j words:ae space:D= stream:D= seq:D= text:h=
rRun 0 stream:a entity:q changes:ag
r~Sent 0 number:a digest:j
r~Settlement 0 number:a code:ah value:j detail:ai=
r~StreamInfo 0 stream:a kind:o name:h
r~Trusted 0 user:a trust:aj
r~UnappliedItem 0 item:a user:a space:D at:E code:ah detail:ai operation:ak quarantined:p=
c~Resume 2 ticket:al left_ms:am cursors:an= link:v= heartbeat_s:u= schema:q=2
cPing 4 id:y clock_ms:d=
cRefresh 5 id:y token:r
cHistory 10 id:y stream:a before:d= after:d= limit:ao=50
cTyping 11 stream:a
cWatch 12 id:y space:a on:p
cMembers 13 id:y space:a after:d= limit:ap=100
cSearch 14 id:y name:aq
cChunk 15 number:ar at:E runs:at
cSnapshot 16 id:y stream:a entity:T= key:d= bytes_max:au=8192
cConflicts 17 id:y after:d= open_only:p=true conflict:d= limit:av=20
cUnapplied 18 id:y after:d= space:d= limit:av=20
cVersions 19 id:y stream:a entity:q key:a before:d= limit:av=20
cInherit 20 id:y device:a sent:ax
cHolding 21 id:y
c~Sync 22 epoch:d= clock_ms:d= schema:q=2 bytes_max:d=
cTakeTicket 23 id:y
cReports 26 id:y after:d= space:d= platform:p= open_only:p=true limit:av=20
cMentorships 27 id:y after:d= open_only:p=true limit:av=50
cFindMentors 28 id:y subjects:ay= level:az= styles:T= languages:aB= hours:aD= space:d= limit:aE=10
cHeldItems 29 id:y after:d= space:d= platform:p= open_only:p=true limit:av=20
cAware 30 document:a data:aF
cFind 31 id:y words:aG space:d= stream:d= place:aH= limit:aI=20
cLoadDocument 100 id:y document:a version:d= generation:aJ= upto:d= offset:aJ= bytes_max:aK=8192
cDocumentVersions 101 id:y document:a before:d= limit:av=50
oCreateCommunity 6 name:aL open_to_all:p=true settings:aM="{}"
oCreateChannel 7 space:a name:aL read_roles:aN=15 write_roles:aN=15
oChangeChannel 8 stream:a name:aL read_roles:aN write_roles:aN
oJoin 9 space:a
oLeave 10 space:a
oInvite 11 space:a user:a role:i=8
oRemove 12 space:a user:a
oSetRole 13 space:a user:a role:i
oChangeSettings 14 space:a name:aL open_to_all:p settings:aM
oOpenConversation 15 users:aO
oRename 16 display_name:aL
oChange 18 stream:a entity:q key:a at:E fields:x= base:d= gone:p=
oClaim 19 conflict:a on:p=true
oResolve 20 conflict:a choice:aP version:d at:E fields:x=
oReopen 21 conflict:a
oSetBack 22 space:a user:a lesson:a percent:aa=
oHold 23 streams:aR quota_bytes:d=
oRelease 24 item:a
oDiscard 25 item:a
oMakeRole 30 space:a name:aL permissions:d
oChangeRole 31 space:a role:a name:aL permissions:d
oDropRole 32 space:a role:a
oGiveRole 33 space:a role:a user:a
oTakeRole 34 space:a role:a user:a
oEndorse 40 space:a user:a
oWithdrawEndorsement 41 space:a user:a
oReportMessage 45 stream:a target:a reason:Z words:ae=
oReportPerson 46 user:a reason:Z words:ae= space:d= profile:p=
oDecideReport 47 report:a uphold:p
oBlock 48 user:a
oUnblock 49 user:a
oSetSlowMode 50 stream:a seconds:aS
oProposeMentorship 65 user:a space:d subject:ad words:ae=
oAnswerMentorship 66 mentorship:a accept:p words:ae=
oEndMentorship 67 mentorship:a reached:p rating:aT words:ae=
oWithdrawProposal 68 mentorship:a
oDecideHeld 75 held:a release:p
oAppeal 76 held:a words:ae=
oDecideAppeal 77 held:a uphold:p
oSetModeration 78 space:a check_first:p= levels:aV= mask:p=true
oAskQuestions 85 stream:a lesson:d= content:d= language:aW= limit:aI=10
oCreateDocument 86 space:a title:aL read_roles:aN=15 write_roles:aN=15
oChangeDocument 87 document:a title:aL read_roles:aN write_roles:aN archived:p=
oUpdate 88 document:a generation:U update:aX checksum:aY
oNameVersion 89 document:a upto:a name:aL
oRestoreVersion 90 document:a version:a
f~Refused 35 number:a code:ah detail:ai= wait_ms:j=
f~Granted 36 id:y
f~Failed 37 id:D code:ah detail:ai= wait_ms:j= stream:D=
f~Pong 38 id:y server_ms:d
f~Draining 39 delay_ms:j
f~Goodbye 40 code:ah detail:ai= wait_ms:j=
f~Resumed 41 last_number:D ahead_ms:j heartbeat_s:j rest:aZ=
f~Ticket 42 id:y ticket:ak expires:E
f~Lagged 50 stream:a
f~Unfollowed 51 stream:a code:ah
f~Page 52 id:y stream:a events:bb more:p
f~MemberPage 54 id:y space:a members:bd more:p
f~Person 55 id:y user:a name:h display_name:h
f~IsTyping 56 stream:a user:a
f~Presence 57 space:a online:j users:M=
f~RecordPage 58 id:y stream:a head:d records:bf more:p
f~ConflictPage 59 id:y conflicts:bh more:p
f~UnappliedPage 60 id:y items:bj more:p
f~VersionPage 61 id:y versions:bl more:p
f~Inherited 62 id:y settled:bn
f~Holdings 63 id:y streams:bo quota_bytes:j
f~ReportPage 67 id:y reports:bq more:p
f~MentorsFound 71 id:D mentors:bs considered:j fitting:j by:h degraded:h= ticket:d=
f~MentorsLater 72 id:y ticket:a
f~MentorshipPage 73 id:y mentorships:bu more:p
f~HeldPage 74 id:y items:bw more:p
f~IsAware 75 document:a user:a data:ak
f~DocumentPart 76 id:y document:a generation:U upto:d size:D offset:D data:ak
f~DocumentVersionPage 77 id:y versions:by more:p
f~Found 80 id:y messages:bA next:ak=
b~Redacted 5
b~CommunityFounded 10 name:aL
b~Joined 11 user:a role:i display_name:aL
b~Left 12 user:a by:d
b~RoleSet 13 user:a role:i
b~ChannelOpened 14 stream:a name:aL read_roles:aN write_roles:aN
b~ChannelChanged 15 stream:a name:aL read_roles:aN write_roles:aN
b~SettingsChanged 16 name:aL open_to_all:p settings:aM
b~Renamed 17 user:a display_name:aL
b~SpaceEntered 20 space:a kind:l name:h role:i streams:bC
b~SpaceLeft 21 space:a
b~Mentioned 22 stream:a seq:a author:a
b~ReadUpTo 23 stream:a seq:a
b~Invited 24 space:a name:aL role:i by:a
b~ConflictNoted 25 conflict:a stream:a entity:q key:a state:S by:d=
b~Noticed 26 kind:bD actor:d= space:d= stream:d= seq:d= subject:d= words:bE=
b~NoticesRead 27 notices:bF
b~Changed 30 records:bf
b~SessionRevoked 40 user:a session:D
b~AuthorityChanged 41 space:a user:d
b~TrustChanged 43 people:bH
b~RoleMade 50 role:a name:aL permissions:d
b~RoleChanged 51 role:a name:aL permissions:d
b~RoleDropped 52 role:a
b~RoleGiven 53 role:a user:a
b~RoleTaken 54 role:a user:a
b~Reported 57 report:a about:af user:a reason:Z stream:d= seq:d=
b~ReportDecided 58 report:a state:af by:d
b~PersonBlocked 59 user:a on:p=true
b~SlowModeSet 60 stream:a seconds:D
b~Cleared 69 author:d upto:a
b~MentorshipNoted 70 mentorship:a mentor:a learner:a state:W community:d= space:d= by:d= words:ae=
b~MentorshipBegan 71 mentorship:a mentor:a learner:a community:d=
b~MentorshipSaidOver 72 reached:p words:ae=
b~MentorshipClosed 73 state:W by:d=
b~TakenBack 76 target:a why:Z
b~HeldForReview 77 held:a form:S state:W user:a why:Z stream:d= seq:d=
b~HeldDecided 78 held:a state:W by:d appealed:p=
b~ModerationSet 79 check_first:p levels:aV= mask:p=true
b~Updated 80 update:aX checksum:aY
b~DocumentOpened 81 document:a title:aL read_roles:aN write_roles:aN
b~DocumentChanged 82 document:a title:aL read_roles:aN write_roles:aN archived:p=
b~VersionNamed 83 version:a upto:d name:aL
b~Restarted 84 generation:U version:d=
b~SetAside 85 events:bI`});_();x();he();x();var C="rows";function $(o){return new Promise((e,n)=>{o.onsuccess=()=>e(o.result),o.onerror=()=>n(o.error)})}var L=class o{constructor(e){this.database=e}static async open(e){let n=indexedDB.open(e,1);n.onupgradeneeded=()=>n.result.createObjectStore(C);let r=await $(n);return r.onversionchange=()=>r.close(),new o(r)}async load(){let e=this.database.transaction(C).objectStore(C),[n,r]=await Promise.all([$(e.getAllKeys()),$(e.getAll())]);return new Map(n.map((t,a)=>[String(t),r[a]]))}async write(e){let n=this.database.transaction(C,"readwrite",{durability:"strict"}),r=n.objectStore(C);for(let[t,a]of e)a?r.put(a,t):r.delete(t);await new Promise((t,a)=>{n.oncomplete=()=>t(),n.onabort=()=>{let{error:s}=n;a(s?.name==="QuotaExceededError"?new E(s.message):s)}})}close(){this.database.close()}};Re();Ee();re();z();ke();Ae();var yn=6e4,un=256*1024,cn=8*1024,mn=64,pn=[0,500,2e3,5e3],bn=128,fn=[88];async function Me(o={}){let{name:e="educonnect",locks:n=navigator.locks,msMax:r=yn}=o,t=new AbortController,a=new BroadcastChannel(`educonnect/${e}`);a.onmessage=i=>i.data?.kind==="who"&&t.abort("page");let s=setTimeout(()=>t.abort("later"),r);try{for(let i of pn){if(await wn(i,t.signal),t.signal.aborted)break;let d=await n.request(`educonnect/${e}/socket`,{ifAvailable:!0},l=>l?hn(o,e,t.signal):void 0);if(d)return d}return{ending:"page",decided:0}}finally{clearTimeout(s),a.close()}}async function hn(o,e,n){let r=await F.open(await(o.disk??(()=>L.open(e)))()),t=new Y(r,o,n);try{let a=await t.run();return await r.durable(),{ending:a,decided:t.decided}}catch(a){return{ending:gn(a,n),decided:t.decided}}finally{await r.close().catch(()=>{})}}function gn(o,e){if(e.aborted)return e.reason;if(o instanceof R||o instanceof E)return"page";if(o instanceof f)return o.final?o.status===401?"signed-out":"page":"later";if(o instanceof h||o instanceof m)return"later";throw o}var Y=class{constructor(e,n,r){this.store=e;this.options=n;this.over=r;this.bytesLeft=n.bytesMax??un,this.mutations=new H(e,()=>Date.now(),()=>Math.random(),()=>{},()=>{});let t=new B(e,{wonder:()=>{}},()=>{});this.mutations.decided=(a,s,i,d)=>{this.decided++,t.decided(s,i,d)}}decided=0;mutations;bytesLeft;unheard=0;async run(){let{mutations:e,store:n}=this,{url:r=location.origin,fetch:t=(...u)=>fetch(...u)}=this.options,a=n.noted("login");if(typeof a!="string")return"signed-out";if(!e.pending)return"sent";let s=JSON.parse(a);if(s.device!==n.device||n.noted("heir"))return"page";let i=new I(new O(r,t),s,u=>n.note("login",JSON.stringify(u)));q(Se);let d=new V(r,t,i,()=>n.durable(),this.over),[l]=await d.round(n.epoch,[]);if(![0,l.epoch].includes(n.epoch))return"page";for(e.welcome(l.last_number,l.limits.in_flight_max);;){let u=this.take(Math.min(cn,l.limits.message_bytes_max));if(!u.length)return this.isDone()?"sent":"page";if(this.bytesLeft-=u.reduce((G,W)=>G+W.length,0),await n.durable(),this.over.aborted)return this.over.reason;let[b,S]=await d.round(n.epoch,u);if(b.epoch!==l.epoch)return"page";if(!this.hear(S)||this.bytesLeft<=0&&!this.isDone())return"later"}}isDone(){return!this.mutations.ledger.length&&!this.unheard}take(e){let{mutations:n,store:r}=this;if(this.unheard&&r.lastNumber-this.unheard>=bn)return[];let t=[];for(let a=e;a>0;){let s=n.take(a,mn-t.length);if(!s.length)break;t.push(...s),a-=s.reduce((i,d)=>i+d.length,0)}return t}hear(e){for(let n of e)if(n.type==="Done")this.settle(n.number,0,n.value,"");else if(n.type==="DoneRun")n.values.forEach((r,t)=>this.settle(n.first+t,0,r,""));else{if(n.type==="Refused"&&!this.refuse(n))return!1;if(n.type==="Goodbye")return!1}return!this.mutations.inFlight}refuse({number:e,code:n,detail:r}){if((ne[n]??(n>=4e3?"same":"no"))!=="no")return!1;if(n===10)throw new R(r);return this.settle(e,n,0,r),!0}settle(e,n,r,t){let a=this.mutations.ledger.settle(e);a&&(fn.includes(a.operation[1])?this.unheard||=e:this.mutations.decide([{key:a.key,code:n,value:r,detail:t}]))}};function wn(o,e){return!o||e.aborted?Promise.resolve():new Promise(n=>{let r=setTimeout(n,o);e.addEventListener("abort",()=>(clearTimeout(r),n()),{once:!0})})}var xn={sendUnsent:Me};Object.assign(self,{background:xn});})();
