import{$ as P,A as $,E as X,F as K,G as S,H as Z,I as Y,N as m,O as l,P as E,Q as y,R as z,S as D,T,U as A,W as J,aa as v,ha as _e,o as C,p as j,v as G,w as k,x as B,y as V,z as f}from"./behind-TWWAHOBF.js";import"./app-PPV2UODD.js";var Q=`
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
b~SetAside 85 events:bI`;function ee(){K("Change")||X(Q)}var Re=6e4,xe=3e3,Me=1e3,Ce=[4e3,4006,4012],te=45e3,Se=2,Ee=3;function re(e){return j[e]??"wait"}var De=e=>l(e,{state:"greeting",by_ticket:!1},{type:"Greet"}),Te=(e,{last_number:t})=>l(e,{state:"online",renewals:0,by_ticket:!1},{type:"Resume",last_number:t,reset:!1}),ne=(e,{delay_ms:t})=>{let n=Math.max(0,t);return l(e,{state:"draining",delay_ms:n},{type:"LeaveAfter",ms:n})},Ae=e=>l(e,{state:"leaving",delay_ms:0,moving:!0},{type:"Leave"}),g=(e,t)=>l(e,{state:"leaving",moving:!1,told:t},{type:"Close"});function b(e,t,n,a){let o=t+m(e.failures,n,a),r=Math.min(o,Math.max(t,Me));return l(e,{state:"waiting",failures:e.failures+1,delay_ms:0,told:null},{type:"Wait",ms:o,least_ms:r})}var Pe=(e,t,n)=>b(e,0,n),oe=(e,t,n)=>b({...e,renew_first:!0},0,n),w=(e,t,n)=>{let a=e.failures>0;t.online_ms>=te&&(e={...e,echoes:0}),t.online_ms>=xe&&(e={...e,failures:0});let o=e.told,r=o?o.code:t.code,s=o?Math.max(0,o.wait_ms):0,d=o?o.detail:t.detail,i=re(r),c=e.by_ticket;return e={...e,by_ticket:!1},r===4003&&c?b({...e,token_first:!0},s,n):r===4004&&a&&t.online_ms<te&&e.echoes<Se?b({...e,echoes:e.echoes+1},s,n):i==="no"?l(e,{state:"ended",end:{code:r,detail:d}}):i==="refresh"&&e.renewals>=Ee?l(e,{state:"ended",end:{code:r,detail:"a fresh token was refused again and again; log in again"}}):i==="refresh"?l(e,{state:"renewing",renewals:e.renewals+1,told:null},{type:"Renew"}):i==="now"&&e.failures===0?l(e,{state:"waiting",failures:1,told:null},{type:"Wait",ms:s,least_ms:s}):b(e,s,n,Ce.includes(r)?Re:void 0)},Le=(e,t,n)=>{if(["no","refresh"].includes(re(t.code)))return w(e,t,n);let a=Math.max(0,e.delay_ms-t.waited_ms);return l(e,{state:"waiting",failures:0,delay_ms:0},{type:"Wait",ms:a,least_ms:a})},Ne=(e,t,n)=>e.moving?l(e,{state:"connecting",failures:0,moving:!1},{type:"Connect"}):w(e,t,n),Oe=(e,t,n)=>e.renew_first?l(e,{state:"renewing",renew_first:!1},{type:"Renew"}):E(e,t,n),ae=(e,{detail:t})=>l(e,{state:"ended",end:{code:4001,detail:t}}),L=(e,{code:t,detail:n})=>l(e,{state:"ended",end:{code:t,detail:n}},{type:"Close"}),se={connecting:{ConnectFailed:Pe,RenewFailed:oe,TokenRefused:ae},greeting:{Goodbye:g,Cut:w},resuming:{Resumed:Te,TicketRefused:De,Goodbye:g,Cut:w},online:{Draining:ne,Goodbye:g,Cut:w,Broken:L},draining:{Traffic:y,Draining:ne,Waited:Ae,Goodbye:g,Cut:Le,Broken:L},leaving:{Traffic:y,Draining:y,Goodbye:g,Waited:y,Cut:Ne,Broken:L},waiting:{Waited:Oe},renewing:{Renewed:E,RenewFailed:oe,TokenRefused:ae}};var qe=200,_=class{constructor(t,n,a){this.store=t;this.places=n;this.changed=a;let[o]=t.noted(D)??[[]];this.notices=o.map(Fe)}notices;take(t){if(t.type!=="Event")return;let{body:n,seq:a,at:o,stream:r}=t,s=(d,i,c,u,p,M,ke)=>{let ve=p>0&&p<=(this.places.read.get(u)??0);this.tell([...this.notices,{seq:a,at:o,kind:d,actor:i,space:c,stream:u,target:p,subject:M,words:ke,read:ve}].slice(-qe))};n.type==="Noticed"?s(n.kind,n.actor,n.space,n.stream,n.seq,n.subject,n.words):n.type==="Mentioned"?s(1,n.author,0,n.stream,n.seq,0,""):n.type==="Invited"?s(3,n.by,n.space,0,0,0,n.name):n.type==="ConflictNoted"?n.state===1&&s(4,n.by,0,n.stream,0,n.conflict,""):n.type==="NoticesRead"?this.readThose(({seq:d})=>n.notices.includes(d)):n.type==="ReadUpTo"&&(this.places.read.set(n.stream,Math.max(n.seq,this.places.read.get(n.stream)??0)),this.readThose(({seq:d,stream:i,target:c})=>n.stream===r?d<=n.seq:i===n.stream&&c>0&&c<=n.seq),this.keep(),this.changed("places"))}caughtUp(){}refused(){}restarted(){this.places.read.clear(),this.tell([])}readThose(t){this.notices.some(n=>!n.read&&t(n))&&this.tell(this.notices.map(n=>t(n)?{...n,read:!0}:n))}tell(t){this.notices=t,this.keep(),this.changed("notices")}keep(){this.store.note(D,()=>[this.notices.map(t=>[t.seq,t.at,t.kind,t.actor,t.space,t.stream,t.target,t.subject,t.words,t.read]),[...this.places.read].map(t=>[...t])])}};function Fe([e,t,n,a,o,r,s,d,i,c]){return{seq:e,at:t,kind:n,actor:a,space:o,stream:r,target:s,subject:d,words:i,read:c}}function N(e){let{cursors:t,failures:n,mutations:a,notes:o,settled:r,unclaimed:s}=e,d=[...Ie(e),...e.dirty.keys()];for(let i of[t,a,r,n,o,s])i.clear();e.keeper?.clear(!1),e.device=e.epoch=e.lastNumber=e.serial=0;for(let i of d)e.put(i,null);e.putFacts()}function*Ie({cursors:e,failures:t,keeper:n,mutations:a,settled:o,unclaimed:r,written:s}){let d={c:e,m:a,s:o,u:t,n:s};for(let[i,c]of Object.entries(d))for(let u of c.keys())yield`${i}/${u}`;yield*n?.names()??r.keys()}var We=2e4,He={access_token:"",expires_at:0,refresh_token:"",user:0,device:0,inbox:0,name:"",display_name:""},h=class{constructor(t,n){this.fetcher=n;this.url=t.replace(/\/+$/,"")}url;async ask(t,n,a,o=""){let r={};a!==void 0&&(r["content-type"]="application/json"),o&&(r.authorization=`Bearer ${o}`);let s=new AbortController,d=setTimeout(()=>s.abort(),We);try{let i={method:t,headers:r,signal:s.signal,cache:"no-store",credentials:"omit"},c=await this.fetcher(`${this.url}/api/v1/${n}`,a===void 0?i:{...i,body:JSON.stringify(a)}),p=await(c.headers.get("content-type")==="application/octet-stream"?c.arrayBuffer():c.json().catch(()=>null));if(c.ok)return p;let M=Number(c.headers.get("retry-after"))||0;throw new f(c.status,String(p?.code??""),String(p?.title??""),String(p?.detail??""),M)}catch(i){throw i instanceof f?i:new $(`${this.url}: ${i.message}`)}finally{clearTimeout(d)}}};function ie(e){let t={...He,...e};if(!t.access_token)throw new f(200,"","The server's answer cannot be read","it has no access token",0);return t}var R=class{constructor(t,n,a){this.account=t;this.login=n;this.kept=a}renewing;renew(){return this.renewing??=this.exchange("auth/refresh",{refresh_token:this.login.refresh_token}).finally(()=>this.renewing=void 0)}forkDevice(t){return this.exchange("devices",{name:t},this.login.access_token)}async exchange(t,n,a=""){let o=ie(await this.account.ask("POST",t,n,a)),r=Object.fromEntries(Object.entries(o).filter(([,s])=>s));this.login={...this.login,...r},this.kept(this.login)}async ask(t,n,a){try{return await this.account.ask(t,n,a,this.login.access_token)}catch(o){if(!(o instanceof f)||o.status!==401||o.code===String(21))throw o}return await this.renew(),this.account.ask(t,n,a,this.login.access_token)}};var Ue=2e3,de=6e3;function O(e,t){let n=e.events[0]?.seq??1,a=new J(t,e.stream,n-1,e.events.at(-1)?.seq??0,()=>{});for(let{seq:o,author:r,at:s,body:d}of e.events)a.fold(o,r,s,Y(d));return a}function ce(e,t){if(!t.events[0]||t.events.at(-1).seq!==e.start)return;let a=O(t,e.store);for(let[o,r]of e.earlyEdits)a.edit(o,r);for(let o of e.deleted)a.delete(o);for(let o of[...a.messages.keys(),...a.reactions.keys()])for(let[r,s]of e.reactions.get(o)??A)for(let d of s)a.react(o,r,d,!0);for(let o of a.deleted)e.reactions.delete(o);for(let[o,r]of a.reactions)e.reactions.set(o,r);e.start=a.start,e.list=void 0,e.messages=new Map([...a.messages,...e.messages]),e.deleted=a.deleted,e.earlyEdits=a.earlyEdits,e.changed()}function le(e,t){e.elsewhere.size>Ue&&e.elsewhere.clear();for(let n of t){e.mended.has(n.seq)||e.elsewhere.set(n.seq,n);for(let[a,o]of e.reactions.get(n.seq)??A)for(let r of o)e.mendReaction(n.seq,a,r,!0)}e.changed()}function je(e,{author:t,upto:n}){e.list=void 0;let a=o=>o.seq<=n&&(t===0||t===o.author);for(let o of e.messages.values())a(o)&&e.messages.delete(o.seq);for(let o of e.elsewhere.values())a(o)&&e.mend(o.seq,{deleted:!0});for(let o of e.reactions.keys())o>e.start&&o<=n&&!e.messages.has(o)&&e.reactions.delete(o);if(t===0)for(let o of e.earlyEdits.keys())o<=n&&e.earlyEdits.delete(o)}function pe(e,t,n){return e.typists.set(t,n+de),e.changed(),de}var Ge=1e4,Be=["ChannelOpened","ChannelChanged","DocumentOpened","DocumentChanged","SettingsChanged","RoleSet","Renamed"];function Ve(e){let{exchange:t,options:n,store:a}=e;return{logOut:async o=>{e.grant&&await q(e,"POST",o?"auth/logout-everywhere":"auth/logout",{}).catch(()=>{}),await Ze(e)},ask:(o,r,s)=>q(e,o,r,s),history:async(o,r,s,d)=>{let i=await t.questions.ask(p=>({type:"History",id:p,stream:o,before:r,after:s,limit:d}),"Page"),c=O(i,a).view(e.me()?.user??0,n.world.wall()),u=e.rooms.get(o);return u&&le(u,c.messages),{...c,caughtUp:!i.more}},older:async(o,r)=>{let s=e.room(o),{start:d}=s;if(!d)return!1;let i=await t.questions.ask(c=>({type:"History",id:c,stream:o,before:d+1,limit:r}),"Page");return ce(s,i),i.more},typing:o=>t.remark(`typing/${o}`,{type:"Typing",stream:o}),discard:async o=>{a.discard(o);for(let r of e.rooms.values())r.discard(o);e.touch("records.failures","status"),await a.durable()},synced:()=>$e(e)}}function $e(e){return new Promise((t,n)=>{let a=e.open("status",[],()=>{let{exchange:o,runner:r}=e,s=r===void 0||r.status.state==="ended";!s&&(!o.isComplete||e.status().pending)||(queueMicrotask(()=>a()),s?n(new V(r?.status.code??0,r?.status.detail??"nobody is logged in here")):t())})})}function q(e,t,n,a){let{grant:o,options:r}=e;return o?x(e,o).ask(t,n,a):new h(r.url,r.fetcher).ask(t,n,a)}function x(e,t){let{options:n,store:a}=e;return t.credentials??=new R(new h(n.url,n.fetcher),t.login,o=>{t.login=o,a.note("login",JSON.stringify(o)),e.touch("me")})}async function Xe(e,t){let{inherit:n,SyncDoor:a}=await import("./heirs-BSIGAUJ7.js"),{exchange:o,options:r,store:s}=e;await n(s,o.mutations,new a(r.url,r.fetcher,x(e,t),()=>s.durable()))}async function Ke(e){let{grant:t,options:n,runner:a}=e;return t?(t.login.expires_at*1e3-n.world.wall()-(a?.aheadMs??0)<Ge&&await x(e,t).renew(),t.login.access_token):""}async function Ze(e){e.runner?.stop(),e.runner=e.grant=void 0,N(e.store),e.prepare(),await e.store.durable()}function Ye(e){let{exchange:t,grant:n,store:a}=e;if(e.desk||!n)return;let o=e.desk=new _(a,e.places,r=>e.touch(r));t.onHint=r=>ze(e,r),t.readInbox(n.login.inbox||t.inboxId,o),e.followPlaces(),e.touch("notices")}function ze(e,t){let{options:n,parts:a,presence:o,rooms:r}=e;if(t.type==="Presence")return o.set(t.space,t),e.touch(`presence/${t.space}`);if(t.type!=="IsTyping"){for(let i of a.values())i.heard?.(t);return}let s=r.get(t.stream);if(!s)return;let d=pe(s,t.user,n.world.wall());n.world.later(d+50,()=>e.touch(`stream/${t.stream}`))}function Je({exchange:{questions:e},runner:t},n,a){a?e.watched.add(n):e.watched.delete(n),t?.status.state==="online"&&e.wonder(o=>({type:"Watch",id:o,space:n,on:a}),()=>{})}function Qe({overview:e,streams:t},n,a){let o=()=>e.want();t.readers.set(n,{take:r=>{(r.type!=="Event"||Be.includes(r.body.type))&&o()},caughtUp:()=>{},refused:()=>{},restarted:o}),t.startAt(n,Math.max(a,t.positions.cursor(n)))}function ue(e){let t=0;return e.flatMap(({stream:n,seq:a})=>{let o=[n-t,a];return t=n,o})}var et=4,tt=5;function nt(e){return["IsTyping","Presence","IsAware"].includes(e.type)||e.type==="MentorsFound"&&!e.id}function ot({mutations:e,questions:t,streams:n},a){a.type==="Refused"?at(e,a):a.type==="Lagged"?it(n.positions,a.stream)&&n.wake():a.type==="Unfollowed"?ct(n,a.stream,a.code):(a.type!=="Failed"||!lt(n,a))&&t.hear(a)}function at(e,{number:t,code:n,detail:a,wait_ms:o}){let r=C[n]??(n>=4e3?"same":"no");if(r==="no"){if(n===10)throw new B(a);let s=e.ledger.settle(t);s&&e.settle([{key:s.key,code:n,value:0,detail:a}]);return}e.ledger.bounce(t),r==="later"&&(e.holdMs||(e.window=Math.max(1,e.window/et)),e.holdMs=Math.max(e.holdMs,o,m(e.futile,e.spread()),1)),e.answered()}function rt(e){if(e.futile++,e.futile>tt&&!e.holdMs)throw new k("the server asks again and again for an earlier number than there is");let t=e.holdMs||(e.futile>1?m(e.futile,e.spread()):0);e.holdMs=0,e.after(t,()=>{e.ledger.mayRewind&&(e.ledger.rewind(),e.wake())})}function F(e){e.ledger=e.begin(),e.overlay?.reload(),e.wake()}function st({streams:e}){let t=[...e.values()].filter(n=>n.seq).map(n=>n.stream);for(let n of e.values())n.seq=n.stalls=0,n.phase!=="asleep"&&n.enter("wanted");return t}function it({streams:e},t){let n=e.get(t);return!n||n.phase==="asleep"||n.phase==="wanted"?!1:(n.enter("wanted"),!0)}function dt({streams:e},t,n){let a=e.get(t);return!a||a.phase!=="asked"||a.askedId!==n?!1:(a.enter("asleep"),!0)}function ct(e,t,n){e.positions.rest(t)&&(e.readers.get(t)?.refused(n),e.refused(t,n))}function lt(e,t){if(t.id&&!e.follows.has(t.id))return!1;let n=e.follows.get(t.id)??t.stream;return e.follows.delete(t.id),e.wake(),dt(e.positions,n,t.id)&&(fe(t)&&e.open?(e.retrying.add(n),e.after(Math.max(t.wait_ms,m(1,e.spread())),()=>{e.retrying.delete(n)&&e.follow(n)})):e.refused(n,t.code)?e.readers.get(n)?.restarted():e.readers.get(n)?.refused(t.code)),!0}function fe({code:e}){return(C[e]??"no")!=="no"}function pt(e,t,n){if(!fe(n))return!1;let a=t.failures+1,o=Math.max(n.wait_ms,m(a,e.spread()));return(t.lasting?e.later:e.after)(o,()=>e.open(t.make,t.lasting,t.hear,a)),!0}var ut=3,ft=[4e3,4006,4012,4005,4001,4002,4003,4007];async function mt(e){e.leftMs<P&&!await me(e)||e.exchange.store.noted("heir")&&!await he(e,e.options.inherit(),"ConnectFailed")||e.dial()}function ht(e,t){if(t.type==="Wait")return yt(e,t.ms,t.least_ms);me(e).then(n=>{n&&e.machine.state==="renewing"&&e.feed({type:"Renewed"})})}function me(e){return he(e,e.options.credentials().renew(),"RenewFailed")}function he(e,t,n){return t.then(()=>!0,a=>ye(e,a,n))}function ye(e,t,n){let a=t.message;e.cause=v(0,a);let{state:o}=e.machine;return(o==="connecting"||o==="renewing")&&e.feed({type:t instanceof f&&t.final?"TokenRefused":n,detail:a}),!1}function yt(e,t,n){let{cause:a,world:o}=e;e.tell("waiting",t,a.code,a.detail);let r=!1,s=()=>{r||(r=!0,e.off(),e.hurried=()=>{},e.feed({type:"Waited"}))},d=o.wall();e.off=o.later(t,s),e.hurried=()=>{let i=n-(o.wall()-d);if(i<=0)return s();e.off(),e.off=o.later(i,s)}}function gt(e,{cut:t,failed:n,copied:a}){if(n)return void ye(e,new Error(t.detail||"no connection"),"ConnectFailed");ft.includes(e.machine.told?.code??t.code)&&ge(e),a!==void 0&&e.forks++<ut?bt(e,a):e.feed(t)}async function bt(e,t){let{exchange:n,grant:a,options:o}=e;try{await o.credentials().forkDevice(o.software),n.store.bind(a.login.device),F(n.mutations),e.feed(v(0,`this store was copied and goes on as device ${a.login.device}`))}catch(r){e.feed(v(0,`${t}; ${r.message}`))}}function wt({aheadMs:e,exchange:t,grant:n,world:a}){let o=t.store.noted("ticket");if(!o)return;let[r,s,d,i]=o,c={ticket:r,expires:s,device:d,welcome:Z(i)},u=s*1e3-a.wall()-e;return d===n.login.device&&c.welcome.epoch===t.epoch&&u>=P?c:void 0}function I({exchange:e,grant:t},n){e.questions.wonder(a=>({type:"TakeTicket",id:a}),a=>{if(a.type!=="Ticket")return;let{ticket:o,expires:r}=a;e.store.note("ticket",[o,r,t.login.device,S({...n,expires:r})])})}function ge({exchange:{store:e}}){e.noted("ticket")&&e.note("ticket",void 0)}function kt(e){let t=wt(e.runner);return e.shown=t&&{...t,cursors:[],clockMs:0},t!==void 0}function vt(e,t){let{exchange:n,options:a}=e.runner;if(t.type==="LeaveAfter")e.drainAt=e.now,e.later(t.ms,()=>e.runner.feed({type:"Waited"}));else if(t.type==="ShowTicket"){let o=n.helloCursors(),r=Math.floor(e.now),{ticket:s,expires:d}=e.shown={...e.shown,cursors:o,clockMs:r};e.greetedAt=e.now;let i=d*1e3-r;e.send([S({type:"Resume",ticket:s,left_ms:i,cursors:ue(o),link:a.link(),heartbeat_s:a.heartbeatS,schema:5})])}}function _t(e,t){let{runner:n}=e;if(t.type==="Resumed")Rt(e,t);else if(t.type==="Failed"&&t.code===28&&!e.welcome)ge(n),e.shown=void 0,n.feed({type:"TicketRefused"});else if(t.type==="Draining"||t.type==="Goodbye")n.feed(t);else return!1;return!0}function Rt(e,t){let{shown:n}=e;if(!n)throw new k("a session was resumed without a ticket");let{last_number:a,heartbeat_s:o,rest:r}=t;e.open({...n.welcome,last_number:a,server_ms:Math.max(0,n.clockMs+t.ahead_ms),heartbeat_s:o},t),n.cursors.forEach(({stream:s,seq:d},i)=>{r.includes(i)||e.runner.exchange.hear({type:"Followed",id:0,stream:s,upto:d,live:!0})})}var xt=60,Mt=1.25,Ct=1e4,be=1500,W=6e4,St=12e4,H=class{constructor(t,n){this.socket=t;this.welcome=n;this.silenceMs=(n.heartbeat_s||xt)*1e3*Mt,this.answers=t.runner.exchange.mutations.answers,this.answersAt=t.now,this.beat(),this.keepToken(),this.spoke()}probing=!1;nudge;answers;answersAt;silenceMs;beat(){let{socket:t}=this,{mutations:n}=t.runner.exchange,{now:a}=t;if(n.answers!==this.answers||!n.inFlight)this.answers=n.answers,this.answersAt=a;else if(a-this.answersAt>=W)return t.end(4009,`mutations unanswered for ${W/1e3} s`);let o=a-t.heardAt;o>=this.silenceMs&&this.probe(),t.later(Math.max(1e3,Math.min(this.silenceMs-o,W/4)),()=>this.beat())}spoke(){this.nudge??=this.socket.later(be,()=>this.nudgeNow())}nudgeNow(){let{heardAt:t,now:n,runner:a,spokeAt:o}=this.socket;if(this.nudge=void 0,!a.exchange.isWaiting)return;let r=be-(n-Math.max(o,t));r>0?this.nudge=this.socket.later(r,()=>this.nudgeNow()):this.ping()}ping(){let{runner:t,now:n}=this.socket;t.exchange.questions.wonder(a=>({type:"Ping",id:a,clock_ms:Math.max(0,Math.floor(n))}),a=>{a.type==="Pong"&&t.measured(this.socket.now-n,a.server_ms)})}probe(){let{socket:t}=this;if(this.probing)return;this.probing=!0;let n=t.now;this.ping(),t.later(Ct,()=>{this.probing=!1,t.heardAt<=n&&t.end(4009,`nothing heard for ${Math.round((t.now-t.heardAt)/1e3)} s`)})}async keepToken(){let{socket:t}=this,{grant:n,world:a}=t.runner;t.shown&&this.welcome.expires<Math.floor(n.login.expires_at)&&this.putToken();for(let o=0;!t.isOver;){let r=St+6e4*a.spread();await new Promise(s=>void t.later(Math.max(t.runner.leftMs-r,o?m(o,1):0),s));try{await t.runner.options.credentials().renew(),this.putToken(),o=0}catch(s){if(s instanceof f&&s.final)return;o++}}}putToken(){let{isOver:t,runner:n}=this.socket;t||n.exchange.questions.wonder(a=>({type:"Refresh",id:a,token:n.grant.login.access_token}),a=>{a.type==="Granted"&&I(n,this.welcome)})}};function Et(e,t,n){n.type==="Welcome"&&(e.shown=void 0),e.heart=new H(e,t),n.type==="Welcome"&&I(e.runner,t)}var we=20,Dt=256;async function Tt(e,t){if(!(t instanceof G))return!1;let{exchange:n,rooms:a,store:o}=e;if(T.kept>we){T.kept=we;let r=await U(o,()=>{for(let s of a.keys())o.note(`room/${s}`,void 0)});for(let s of a.values())s.keep();if(r)return!0}return await U(o,()=>void n.keeping?.makeRoom())?!0:U(o,()=>{let r=[...o.settled.keys()].slice(0,-Dt);for(let s of r)o.settled.delete(s),o.put(`s/${s}`,null)})}async function U(e,t){let n=e.dirty,a=e.dirty=new Map;t(),e.dirty=new Map([...n,...a]);let o=[...a].filter(([,r])=>!r);return o.length&&await e.disk.write(new Map(o)),o.length>0}ee();z(se);export{h as Account,_e as Core,q as ask,pt as askLater,F as becameAnother,je as clear,x as credentialsOf,N as forget,kt as hasTicket,_t as hear,Qe as hearAnnouncements,ot as hearRest,Xe as inherit,nt as isHint,Et as keepAlive,gt as lost,Tt as makeRoom,Ve as methodsOf,Ye as openDesk,vt as perform,mt as prepare,ie as readLogin,ht as recover,rt as rewindLater,st as startOver,Ke as token,Je as watch};
